//! Time in the rules: UTC, whole seconds, half-open periods (rules 1.3 to 1.5).

use std::fmt;

use chrono::{DateTime, Datelike, Months, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

/// Seconds of a day; UTC days have no other length here.
pub const DAY: i64 = 86_400;
pub const HOUR: i64 = 3_600;

const FORMAT: &str = "%Y-%m-%dT%H:%M:%SZ";

/// A second of UTC, counted from 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Earlier than every time that can be written; the price list that was always there begins here.
    pub const BEGINNING: Self = Self(i64::MIN);

    pub const fn from_secs(secs: i64) -> Self {
        Self(secs)
    }

    pub const fn secs(self) -> i64 {
        self.0
    }

    /// Reads `2026-01-05T10:00:00Z` and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        // chrono also takes signs, short fields and a leap second: the shape is checked first.
        let shape = text.len() == 20
            && text.bytes().zip("0000-00-00T00:00:00Z".bytes()).all(|(byte, model)| match model {
                b'0' => byte.is_ascii_digit(),
                other => byte == other,
            });
        let second_fits = text.get(17..19).is_some_and(|secs| secs < "60");
        if !shape || !second_fits {
            return None;
        }
        let civil = NaiveDateTime::parse_from_str(text, FORMAT).ok()?;
        Some(Self(civil.and_utc().timestamp()))
    }

    pub const fn plus_secs(self, secs: i64) -> Self {
        Self(self.0 + secs)
    }

    pub const fn plus_days(self, days: u32) -> Self {
        Self(self.0 + days as i64 * DAY)
    }

    pub const fn plus_hours(self, hours: u32) -> Self {
        Self(self.0 + hours as i64 * HOUR)
    }

    /// The midnight at or before this second.
    pub const fn midnight(self) -> Self {
        Self(self.0.div_euclid(DAY) * DAY)
    }

    /// The first midnight after this second.
    pub const fn next_midnight(self) -> Self {
        Self(self.midnight().0 + DAY)
    }

    /// 00:00 on the 1st of this second's month.
    pub fn month_start(self) -> Self {
        let civil = self.civil();
        let first = civil.date_naive().with_day(1).unwrap_or(civil.date_naive());
        Self(first.and_time(chrono::NaiveTime::MIN).and_utc().timestamp())
    }

    /// 00:00 on the 1st of the month after this second's month.
    pub fn next_month_start(self) -> Self {
        self.month_start().plus_months(1)
    }

    /// Calendar months later; a day that the month does not have becomes its last (rule 1.5).
    pub fn plus_months(self, months: u32) -> Self {
        match self.civil().checked_add_months(Months::new(months)) {
            Some(later) => Self(later.timestamp()),
            None => Self(i64::MAX),
        }
    }

    /// The civil date and time, for display and cron.
    pub fn civil(self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0, 0).unwrap_or(if self.0 < 0 {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.civil().format(FORMAT))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `[from, to)`: contains `from`, not `to`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(into = "(Timestamp, Timestamp)", from = "(Timestamp, Timestamp)")]
pub struct Period {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl From<(Timestamp, Timestamp)> for Period {
    fn from((from, to): (Timestamp, Timestamp)) -> Self {
        Self { from, to }
    }
}

impl From<Period> for (Timestamp, Timestamp) {
    fn from(period: Period) -> Self {
        (period.from, period.to)
    }
}

impl Period {
    pub const fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to }
    }

    /// The whole UTC day that contains `at`.
    pub const fn day_of(at: Timestamp) -> Self {
        Self::new(at.midnight(), at.next_midnight())
    }

    /// The calendar month that contains `at`.
    pub fn month_of(at: Timestamp) -> Self {
        let from = at.month_start();
        Self::new(from, from.plus_months(1))
    }

    pub const fn secs(self) -> i64 {
        self.to.0 - self.from.0
    }

    pub fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    pub fn is_empty(self) -> bool {
        self.from >= self.to
    }

    /// The parts of this period in each calendar month it touches, with that month.
    pub fn by_month(self) -> impl Iterator<Item = (Period, Period)> {
        let mut month = Period::month_of(self.from);
        std::iter::from_fn(move || {
            let part = Period::new(self.from.max(month.from), self.to.min(month.to));
            if part.is_empty() {
                return None;
            }
            let whole = month;
            month = Period::month_of(month.to);
            Some((part, whole))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time as written")
    }

    #[test]
    fn months_keep_the_anchor_day() {
        let anchor = at("2026-01-31T12:00:00Z");
        let ends: Vec<String> = (1..=4).map(|n| anchor.plus_months(n).to_string()).collect();
        let expected = ["2026-02-28T12:00:00Z", "2026-03-31T12:00:00Z", "2026-04-30T12:00:00Z", "2026-05-31T12:00:00Z"];
        assert_eq!(ends, expected);
        assert_eq!(at("2028-01-31T00:00:00Z").plus_months(1), at("2028-02-29T00:00:00Z"));
    }

    #[test]
    fn only_the_one_form_is_read() {
        for bad in [
            "2026-01-05 10:00:00Z",
            "2026-01-05T10:00:00",
            "2026-01-05T10:00:00+00:00",
            "2026-02-30T00:00:00Z",
            "2026-01-05T24:00:00Z",
            "2026-01-05T10:00:60Z",
            "+026-01-05T10:00:00Z",
            "2026-1-05T10:00:00ZZ",
            "",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
        let text = "2026-01-05T10:00:00Z";
        assert_eq!(at(text).to_string(), text);
    }

    #[test]
    fn a_period_falls_into_its_months() {
        let period = Period::new(at("2026-04-20T12:00:00Z"), at("2026-06-01T00:00:00Z"));
        let parts: Vec<i64> = period.by_month().map(|(part, _)| part.secs()).collect();
        assert_eq!(parts, [907_200, 31 * DAY]);
        assert_eq!(Period::new(period.from, period.from).by_month().count(), 0);
    }
}
