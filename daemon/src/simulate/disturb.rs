//! What makes job execution unreliable, deterministically from a seed.

/// What happens to a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whim {
    None,
    Skipped,
    /// So many seconds, up to six hours.
    Late(i64),
    Twice,
    ByTwoAtOnce,
    /// After so many statements of its transaction.
    CutOff(u32),
}

const LATE_MAX_SECS: u64 = 6 * 3600;

/// A sequence of whims: SplitMix64, so that a seed gives the same on every machine.
#[derive(Clone, Debug)]
pub struct Disturbance {
    state: u64,
}

impl Disturbance {
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub fn of_run(&mut self) -> Whim {
        match self.below(12) {
            0 | 1 => Whim::Skipped,
            2..=4 => Whim::Late(self.seconds()),
            5 | 6 => Whim::Twice,
            7 | 8 => Whim::ByTwoAtOnce,
            9 | 10 => Whim::CutOff(u32::try_from(self.below(14)).unwrap_or_default()),
            _ => Whim::None,
        }
    }

    pub fn delay_of_receipt(&mut self) -> i64 {
        self.seconds()
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            let other = usize::try_from(self.below(index as u64 + 1)).unwrap_or_default();
            items.swap(index, other);
        }
    }

    fn seconds(&mut self) -> i64 {
        i64::try_from(self.below(LATE_MAX_SECS) + 1).unwrap_or_default()
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_every_whim_comes() {
        let whims = |seed| {
            let mut disturbance = Disturbance::new(seed);
            (0..200).map(|_| disturbance.of_run()).collect::<Vec<_>>()
        };
        assert_eq!(whims(7), whims(7));
        assert_ne!(whims(7), whims(8));
        let late = whims(7).into_iter().filter(|whim| matches!(whim, Whim::Late(1..=21_600))).count();
        assert!(late > 10);
        assert!(whims(7).contains(&Whim::Skipped) && whims(7).contains(&Whim::ByTwoAtOnce));
    }
}
