//! Chance that can be repeated.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// SplitMix64.
pub struct Dice(u64);

impl Dice {
    /// Of `BURSAR_TEST_SEED`, or another each time; it is printed, to repeat a test that failed.
    pub fn of_today() -> Self {
        let given = std::env::var("BURSAR_TEST_SEED").ok();
        let seed = given.map_or_else(|| RandomState::new().build_hasher().finish(), |seed| seed.parse().expect("u64"));
        eprintln!("to repeat this: BURSAR_TEST_SEED={seed}");
        Self(seed)
    }

    pub const fn of_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice of its own for each of several that run side by side.
    pub fn fork(&mut self) -> Self {
        Self(self.below(u64::MAX))
    }

    /// From 0 up to, and without, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// The same number for the same text, on every machine.
pub fn mixed(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    Dice(text.bytes().fold(0xcbf2_9ce4_8422_2325, step)).below(u64::MAX)
}
