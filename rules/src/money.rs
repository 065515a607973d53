//! Money and quantities: integers, exact on the way, rounded once (rules 1.1, 1.2).

use std::fmt;
use std::str::FromStr;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number that the ledger's 64 bits can't hold. Nothing is written when one comes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount is beyond what the ledger can hold (±9223372036854.775807)")]
pub struct OutOfRange;

/// Whole micro-units (10⁻⁶) of an account's currency.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(i64);

impl Micros {
    pub const ZERO: Self = Self(0);

    pub const fn new(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn get(self) -> i64 {
        self.0
    }

    pub fn checked_add(self, other: Self) -> Result<Self, OutOfRange> {
        self.0.checked_add(other.0).map(Self).ok_or(OutOfRange)
    }

    pub fn checked_sub(self, other: Self) -> Result<Self, OutOfRange> {
        self.0.checked_sub(other.0).map(Self).ok_or(OutOfRange)
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// The part of it in whole minor units, towards zero; nothing of a negative amount.
    pub fn floor_to_minor(self, currency: Currency) -> Self {
        let unit = currency.minor_unit();
        Self(self.0.max(0) / unit * unit)
    }

    /// The least amount in whole minor units that covers it.
    pub fn ceil_to_minor(self, currency: Currency) -> Result<Self, OutOfRange> {
        let unit = currency.minor_unit();
        match self.0.rem_euclid(unit) {
            0 => Ok(self),
            over => self.0.checked_add(unit - over).map(Self).ok_or(OutOfRange),
        }
    }

    /// Whether it has no more decimals than the currency.
    pub fn is_whole_minor(self, currency: Currency) -> bool {
        self.0 % currency.minor_unit() == 0
    }

    /// With as many decimals as the currency has; for amounts in whole minor units.
    pub fn in_minor(self, currency: Currency) -> String {
        let digits = currency.digits();
        Decimal::new(self.0 / currency.minor_unit(), digits).to_string()
    }

    /// As an exact number of pico-units, the scale of prices.
    pub fn exact(self) -> Exact {
        Exact::from_integer(BigInt::from(self.0) * PICO_PER_MICRO)
    }
}

/// With six decimals.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Decimal::new(self.0, 6), f)
    }
}

impl fmt::Debug for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A configured or used quantity, in millionths of its unit.
pub type Quantity = Micros;

/// Pico-units (10⁻¹²) in a micro-unit: a quantity times a unit price, both in millionths, is whole in them.
const PICO_PER_MICRO: i64 = 1_000_000;

/// A price for a period (day, term, month, hour), in pico-units: exact, never rounded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Price(i128);

impl Price {
    pub const ZERO: Self = Self(0);

    pub const fn from_pico(pico: i128) -> Self {
        Self(pico)
    }

    pub const fn pico(self) -> i128 {
        self.0
    }

    pub fn of(amount: Micros) -> Self {
        Self(i128::from(amount.0) * i128::from(PICO_PER_MICRO))
    }

    /// `quantity × unit_price`. Both are at most 2⁶³ in size, so the product fits.
    pub fn times(quantity: Quantity, unit_price: Micros) -> Self {
        Self(i128::from(quantity.0) * i128::from(unit_price.0))
    }

    pub fn exact(self) -> Exact {
        Exact::from_integer(BigInt::from(self.0))
    }
}

// At the end of the range a price stays there: the least share of it is beyond every ledger, and refused.

impl std::ops::Add for Price {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::Sub for Price {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::iter::Sum for Price {
    fn sum<I: Iterator<Item = Self>>(prices: I) -> Self {
        prices.fold(Self::ZERO, std::ops::Add::add)
    }
}

/// All its decimals, without trailing zeros after the second.
impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pico = i128::from(PICO_PER_MICRO) * i128::from(PICO_PER_MICRO);
        let (whole, fraction) = ((self.0 / pico).abs(), (self.0 % pico).abs());
        let digits = format!("{fraction:012}");
        let kept = digits.trim_end_matches('0').len().max(2);
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{whole}.{}", digits.get(..kept).unwrap_or(&digits))
    }
}

impl fmt::Debug for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// As a string: JSON numbers end at 64 bits.
impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// A computed amount in pico-units before its one rounding.
pub type Exact = BigRational;

/// Rounds to whole micro-units, half away from zero (rule 1.2).
pub fn round_to_micros(exact: &Exact) -> Result<Micros, OutOfRange> {
    divide_rounded(exact, PICO_PER_MICRO).ok_or(OutOfRange).map(Micros)
}

/// Rounds to the currency's minor unit, half away from zero (rule 1.2).
pub fn round_to_minor(exact: &Exact, currency: Currency) -> Result<Micros, OutOfRange> {
    let unit = currency.minor_unit();
    let minor = divide_rounded(exact, PICO_PER_MICRO * unit).ok_or(OutOfRange)?;
    minor.checked_mul(unit).map(Micros).ok_or(OutOfRange)
}

/// `exact / unit` in whole numbers, half away from zero. The one division, without reducing the fraction first.
fn divide_rounded(exact: &Exact, unit: i64) -> Option<i64> {
    let twice = exact.numer() * 2_i32;
    let divisor = exact.denom() * unit;
    // Whole days and terms have small numbers: most of what is ever charged.
    if let (Some(twice), Some(divisor)) = (twice.to_i128(), divisor.to_i64()) {
        let divisor = i128::from(divisor);
        let away = twice.checked_add(divisor * twice.signum())?;
        return i64::try_from(away / (divisor * 2)).ok();
    }
    let away = if twice.is_negative() { twice - &divisor } else { twice + &divisor };
    (away / (divisor * 2_i32)).to_i64()
}

/// An ISO 4217 currency that has a minor unit of at most six digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    pub const USD: Self = Self(iso_currency::Currency::USD);

    pub fn parse(code: &str) -> Option<Self> {
        let currency = iso_currency::Currency::from_code(code)?;
        currency.exponent().filter(|digits| *digits <= 6)?;
        Some(Self(currency))
    }

    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Digits of the minor unit: 2 for USD, 0 for JPY, 3 for KWD.
    pub fn digits(self) -> u32 {
        self.0.exponent().map_or(2, u32::from)
    }

    /// Micro-units in one minor unit.
    pub fn minor_unit(self) -> i64 {
        10_i64.pow(6 - self.digits())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::parse(&code).ok_or_else(|| serde::de::Error::custom(format!("no such currency: {code}")))
    }
}

/// Reads a decimal such as `12`, `0.5` or `100.00`: up to `whole_digits` digits, then up to six
/// decimals; a leading minus only where `signed`.
pub fn parse_decimal(text: &str, whole_digits: usize, signed: bool) -> Option<Micros> {
    let digits = if signed { text.strip_prefix('-').unwrap_or(text) } else { text };
    let (whole, decimals) = match digits.split_once('.') {
        Some((whole, decimals)) if (1..=6).contains(&decimals.len()) => (whole, decimals),
        Some(_) => return None,
        None => (digits, ""),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > whole_digits || !all_digits(whole) || !all_digits(decimals) {
        return None;
    }
    let mut decimal = Decimal::from_str(text).ok()?;
    decimal.rescale(6);
    i64::try_from(decimal.mantissa()).ok().map(Micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(numerator: i64, denominator: i64) -> Exact {
        Exact::new(BigInt::from(numerator), BigInt::from(denominator))
    }

    #[test]
    fn rounds_half_away_from_zero() {
        let half = exact(PICO_PER_MICRO, 2);
        assert_eq!(round_to_micros(&half), Ok(Micros(1)));
        assert_eq!(round_to_micros(&-half), Ok(Micros(-1)));
        assert_eq!(round_to_micros(&exact(499_999, 1)), Ok(Micros(0)));
        let yen = Currency::parse("JPY").expect("JPY");
        assert_eq!(round_to_minor(&Price::of(Micros(1_500_000)).exact(), yen), Ok(Micros(2_000_000)));
        let dinar = Currency::parse("KWD").expect("KWD");
        assert_eq!(round_to_minor(&Price::of(Micros(1_499)).exact(), dinar), Ok(Micros(1_000)));
    }

    #[test]
    fn small_and_large_fractions_round_alike() {
        let large = BigInt::from(10).pow(40);
        for (numerator, denominator) in [(5, 2), (-5, 2), (7, 3), (-7, 3), (4_499_999, 9), (-4_500_000, 9), (0, 7)] {
            let small = Exact::new_raw(BigInt::from(numerator) * PICO_PER_MICRO, BigInt::from(denominator));
            let grown = Exact::new_raw(small.numer() * &large, small.denom() * &large);
            assert_eq!(round_to_micros(&small), round_to_micros(&grown), "{numerator}/{denominator}");
        }
    }

    #[test]
    fn too_large_is_refused_not_wrapped() {
        let large = Exact::from_integer(BigInt::from(i128::MAX));
        assert_eq!(round_to_micros(&large), Err(OutOfRange));
        assert_eq!(Micros(i64::MAX).checked_add(Micros(1)), Err(OutOfRange));
    }

    #[test]
    fn decimals_have_one_form() {
        assert_eq!(parse_decimal("100.00", 9, false), Some(Micros(100_000_000)));
        assert_eq!(parse_decimal("-0.5", 9, true), Some(Micros(-500_000)));
        assert_eq!(parse_decimal("999999999.999999", 9, false), Some(Micros(999_999_999_999_999)));
        for bad in ["", ".5", "1.", "1,0", "+1", "-1", "1e3", "0.0000001", "1000000000", " 1", "1_0", "١"] {
            assert_eq!(parse_decimal(bad, 9, false), None, "{bad}");
        }
    }

    #[test]
    fn amounts_are_written_in_full() {
        assert_eq!(Micros(-2_560_556).to_string(), "-2.560556");
        let usd = Currency::parse("USD").expect("USD");
        for (amount, covers) in [(998_333, 1_000_000), (10_000, 10_000), (10_001, 20_000), (-1, 0)] {
            assert_eq!(Micros(amount).ceil_to_minor(usd), Ok(Micros(covers)), "{amount}");
        }
        assert_eq!(Micros(12_300_000).in_minor(usd), "12.30");
        let yen = Currency::parse("JPY").expect("JPY");
        assert_eq!(Micros(12_000_000).in_minor(yen), "12");
        assert_eq!(Price::times(Micros(250_000_000), Micros(10_000)).to_string(), "2.50");
    }
}
