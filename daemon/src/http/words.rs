//! The words of requests: names, amounts, quantities, times and texts, each read or refused with what it should be.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rules::{Currency, Micros, Quantity, Timestamp};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::input::arguments;

/// A word that is written as a text, and what the schema says of it.
macro_rules! word {
    ($(#[$doc:meta])* $word:ident($of:ty) = $read:path, $pattern:expr, $longest:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct $word(pub $of);

        impl<'de> Deserialize<'de> for $word {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'_, str>::deserialize(deserializer)?;
                $read(&text).map(Self).map_err(D::Error::custom)
            }
        }

        impl PartialSchema for $word {
            fn schema() -> RefOr<Schema> {
                let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some($pattern));
                let schema = schema.max_length(Some($longest));
                schema.examples([serde_json::json!($example)]).into()
            }
        }

        impl ToSchema for $word {}
    };
}

/// A letter of a text, but these and what breaks a line or turns its direction.
macro_rules! plain {
    ($but:literal) => {
        concat!("[^", $but, r"\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
    };
}

word! {
    /// A name begins with a letter or a digit and goes on with those, dots, dashes and underscores.
    Name(String) = arguments::name, "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", 64, "web-1"
}
word! {
    /// Above zero, up to 9 digits and 6 decimals.
    Amount(Micros) = arguments::positive_amount, r"^[0-9]{1,9}(\.[0-9]{1,6})?$", 16, "50.00"
}
word! {
    /// Not zero, up to 9 digits and 6 decimals.
    SignedAmount(Micros) = arguments::signed_amount, r"^-?[0-9]{1,9}(\.[0-9]{1,6})?$", 17, "-5.00"
}
word! {
    /// Not below zero, up to 6 digits and 6 decimals.
    Count(Quantity) = arguments::quantity, r"^[0-9]{1,6}(\.[0-9]{1,6})?$", 13, "250"
}
word! {
    /// One of ISO 4217.
    Code(Currency) = arguments::currency, "^[A-Z]{3}$", 3, "USD"
}
word! {
    /// UTC in whole seconds, or a day, which is its first second.
    Second(Timestamp) = arguments::time,
    r"^(20|21)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?$", 20,
    "2026-01-05T10:00:00Z"
}
word! {
    /// One line, not empty, without marks that turn its direction.
    Line(String) = arguments::text, concat!("^", plain!(""), "*", plain!(r"\s"), plain!(""), "*$"), 500,
    "paid at the desk"
}
word! {
    /// A place in a list: the `next` of the page before.
    Place(i64) = place, "^(0|[1-9][0-9]{0,17})$", 18, "50"
}

fn place(text: &str) -> Result<i64, String> {
    let all_digits = (1..=18).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
    let is_plain = all_digits && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain).ok_or_else(|| "it is the `next` of the page before".to_owned())
}

/// A whole number, however JSON writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Whole(pub u32);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = serde_json::Number::deserialize(deserializer)?.to_string();
        let whole = text.strip_suffix(".0").unwrap_or(&text).parse().map(Self);
        whole.map_err(|_| D::Error::custom("it is a whole number, without quotes"))
    }
}

/// How much of each component; each once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Quantities(pub BTreeMap<String, Quantity>);

impl<'de> Deserialize<'de> for Quantities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Components;
        impl<'de> Visitor<'de> for Components {
            type Value = Quantities;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of components, like {\"cpu\": \"2\"}")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut quantities = BTreeMap::new();
                while let Some(Name(component)) = map.next_key()? {
                    let Count(count) = map.next_value()?;
                    if quantities.insert(component.clone(), count).is_some() {
                        return Err(M::Error::custom(format!("`{component}` is given twice")));
                    }
                }
                Ok(Quantities(quantities))
            }
        }
        deserializer.deserialize_map(Components)
    }
}

impl PartialSchema for Quantities {
    fn schema() -> RefOr<Schema> {
        let names = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"));
        let schema = ObjectBuilder::new().property_names(Some(names)).additional_properties(Some(Count::schema()));
        schema.examples([serde_json::json!({ "cpe": "250" })]).into()
    }
}

impl ToSchema for Quantities {}

/// Options chosen; each once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options(pub BTreeSet<String>);

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Chosen;
        impl<'de> Visitor<'de> for Chosen {
            type Value = Options;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of options, like [\"backup\"]")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
                let mut options = BTreeSet::new();
                while let Some(Name(option)) = list.next_element()? {
                    if !options.insert(option.clone()) {
                        return Err(S::Error::custom(format!("`{option}` stands twice in the list")));
                    }
                }
                Ok(Options(options))
            }
        }
        deserializer.deserialize_seq(Chosen)
    }
}

impl PartialSchema for Options {
    fn schema() -> RefOr<Schema> {
        let schema = ArrayBuilder::new().items(Name::schema()).unique_items(true);
        schema.examples([serde_json::json!(["tr369"])]).into()
    }
}

impl ToSchema for Options {}
