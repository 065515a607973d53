//! When what was charged is revenue: billed at its own second, earned as its period passes.

use crate::money::Micros;
use crate::time::{Period, Timestamp};

/// A charge, a credit or an invoice's line, as revenue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revenue {
    /// Negative where it gives back.
    pub amount: Micros,
    /// What it is for; empty where it is earned in a single second.
    pub span: Period,
    pub billed_at: Timestamp,
    /// Nothing of it is earned in months that were closed before it was known.
    pub not_before: Timestamp,
    /// From when on it counts as never charged: its period was voided, or its invoice credited.
    pub undone_at: Option<Timestamp>,
}

/// What moved between two seconds: `opening + billed − earned = closing`. What is open is deferred where it was
/// billed already, and accrued where it was only earned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RevenueMoves {
    pub deferred_before: i128,
    pub accrued_before: i128,
    pub billed: i128,
    pub earned: i128,
    pub deferred: i128,
    pub accrued: i128,
}

impl Revenue {
    fn counts(&self, by: Timestamp) -> bool {
        self.undone_at.is_none_or(|undone| undone >= by)
    }

    /// What of it was billed before `by`, less what was taken back.
    pub fn billed_by(&self, by: Timestamp) -> i128 {
        if self.billed_at < by && self.counts(by) { i128::from(self.amount.get()) } else { 0 }
    }

    /// What of it was earned before `by`: its amount by the seconds that passed, rounded once, half away from
    /// zero. Parts of it are differences of this, so they add up to the whole.
    pub fn earned_by(&self, by: Timestamp) -> i128 {
        if by <= self.not_before || by <= self.span.from || !self.counts(by) {
            return 0;
        }
        let amount = i128::from(self.amount.get());
        if by >= self.span.to {
            return amount;
        }
        let (passed, whole) = (i128::from(by.secs() - self.span.from.secs()), i128::from(self.span.secs()));
        let twice = 2 * amount * passed;
        (twice + amount.signum() * whole) / (2 * whole)
    }

    /// What it moves in a span of time, by the open rests at both ends.
    pub fn moves_in(&self, time: Period) -> RevenueMoves {
        let (billed_before, billed) = (self.billed_by(time.from), self.billed_by(time.to));
        let (earned_before, earned) = (self.earned_by(time.from), self.earned_by(time.to));
        let open = |billed: i128, earned: i128, by: Timestamp| match self.billed_at < by {
            true => (billed - earned, 0),
            false => (0, earned - billed),
        };
        let (deferred_before, accrued_before) = open(billed_before, earned_before, time.from);
        let (deferred, accrued) = open(billed, earned, time.to);
        RevenueMoves {
            deferred_before,
            accrued_before,
            billed: billed - billed_before,
            earned: earned - earned_before,
            deferred,
            accrued,
        }
    }
}

impl RevenueMoves {
    pub const fn opening(&self) -> i128 {
        self.deferred_before - self.accrued_before
    }

    pub const fn closing(&self) -> i128 {
        self.deferred - self.accrued
    }

    /// `opening + billed − earned = closing`.
    pub const fn ties(&self) -> bool {
        self.opening() + self.billed - self.earned == self.closing()
    }

    pub const fn add(&mut self, other: &Self) {
        self.deferred_before += other.deferred_before;
        self.accrued_before += other.accrued_before;
        self.billed += other.billed;
        self.earned += other.earned;
        self.deferred += other.deferred;
        self.accrued += other.accrued;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    fn month(text: &str) -> Period {
        Period::month_of(at(text))
    }

    /// 31.00 for a term from 17 January 12:00 to 17 February 12:00, billed as it begins.
    fn term() -> Revenue {
        let span = Period::new(at("2026-01-17T12:00:00Z"), at("2026-02-17T12:00:00Z"));
        let (billed_at, amount) = (span.from, Micros::new(31_000_000));
        Revenue { amount, span, billed_at, not_before: Timestamp::BEGINNING, undone_at: None }
    }

    fn moves(revenue: &Revenue, month_of: &str) -> (i128, i128, i128, i128, i128) {
        let moves = revenue.moves_in(month(month_of));
        assert!(moves.ties(), "{moves:?}");
        (moves.opening(), moves.billed, moves.earned, moves.deferred, moves.accrued)
    }

    const JANUARY: &str = "2026-01-01T00:00:00Z";
    const FEBRUARY: &str = "2026-02-01T00:00:00Z";

    #[test]
    fn what_is_prepaid_is_deferred_until_it_is_earned() {
        assert_eq!(moves(&term(), JANUARY), (0, 31_000_000, 14_500_000, 16_500_000, 0));
        assert_eq!(moves(&term(), FEBRUARY), (16_500_000, 0, 16_500_000, 0, 0));
        let odd = Revenue { amount: Micros::new(-7), ..term() };
        let (january, february) = (moves(&odd, JANUARY), moves(&odd, FEBRUARY));
        assert_eq!((january.2, february.2), (-3, -4), "the parts are the whole");
    }

    #[test]
    fn what_is_billed_behind_is_accrued() {
        let hours = Revenue { billed_at: at(FEBRUARY), span: month(JANUARY), ..term() };
        assert_eq!(moves(&hours, JANUARY), (0, 0, 31_000_000, 0, 31_000_000));
        assert_eq!(moves(&hours, FEBRUARY), (-31_000_000, 31_000_000, 0, 0, 0));
    }

    #[test]
    fn what_is_taken_back_leaves_nothing() {
        let voided = Revenue { undone_at: Some(at("2026-02-10T00:00:00Z")), ..term() };
        assert_eq!(moves(&voided, JANUARY), moves(&term(), JANUARY), "months before stay as they were");
        assert_eq!(moves(&voided, FEBRUARY), (16_500_000, -31_000_000, -14_500_000, 0, 0));
    }

    /// A closed month earns nothing more: what it would have earned is the next one's.
    #[test]
    fn a_closed_month_stays_as_it_was() {
        let late = Revenue { billed_at: at("2026-02-02T00:00:00Z"), not_before: at(FEBRUARY), ..term() };
        assert_eq!(moves(&late, JANUARY), (0, 0, 0, 0, 0));
        assert_eq!(moves(&late, FEBRUARY), (0, 31_000_000, 31_000_000, 0, 0));
    }
}
