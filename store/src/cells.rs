//! Reading a row cell by cell, in the order of its column list. What cannot be read is said in words: it
//! parks one account, and does not stop the others.

use rules::{Currency, Micros, Period, Price, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as NameError, StrDeserializer};

use crate::sql::{Cell, Row};

/// Why a row cannot be read.
pub type Problem = String;

/// From 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
const WRITABLE: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

pub struct Cells<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Cells<'r> {
    pub const fn of(row: &'r Row) -> Self {
        Self { row, next: 0 }
    }

    fn get<T: Cell<'r>>(&mut self) -> Result<T, Problem> {
        let index = self.next;
        self.next += 1;
        self.row.try_get(index).map_err(|error| error.to_string())
    }

    /// What the cell that was read last is called.
    fn problem(&self, problem: impl std::fmt::Display) -> Problem {
        let column = self.row.column(self.next.saturating_sub(1));
        format!("{column}: {problem}")
    }

    pub fn int(&mut self) -> Result<i64, Problem> {
        self.get()
    }

    /// A part of the row's key, which is always there.
    pub fn key(&mut self) -> crate::Result<i64> {
        let index = self.next;
        self.next += 1;
        self.row.get(index)
    }

    pub fn maybe_int(&mut self) -> Result<Option<i64>, Problem> {
        self.get()
    }

    pub fn small(&mut self) -> Result<u32, Problem> {
        let value = self.int()?;
        u32::try_from(value).map_err(|error| self.problem(error))
    }

    pub fn maybe_small(&mut self) -> Result<Option<u32>, Problem> {
        let value = self.maybe_int()?.map(u32::try_from).transpose();
        value.map_err(|error| self.problem(error))
    }

    pub fn flag(&mut self) -> Result<bool, Problem> {
        self.get()
    }

    pub fn maybe_flag(&mut self) -> Result<Option<bool>, Problem> {
        self.get()
    }

    pub fn time(&mut self) -> Result<Timestamp, Problem> {
        let secs = self.int()?;
        self.written(secs)
    }

    pub fn maybe_time(&mut self) -> Result<Option<Timestamp>, Problem> {
        let secs = self.maybe_int()?;
        secs.map(|secs| self.written(secs)).transpose()
    }

    /// Where what was always there begins at no time that can be written.
    pub fn time_or_beginning(&mut self) -> Result<Timestamp, Problem> {
        match self.int()? {
            secs if secs == Timestamp::BEGINNING.secs() => Ok(Timestamp::BEGINNING),
            secs => self.written(secs),
        }
    }

    /// Nothing that the rules write lies beyond, and they cannot count with what does.
    fn written(&self, secs: i64) -> Result<Timestamp, Problem> {
        match WRITABLE.contains(&secs) {
            true => Ok(Timestamp::from_secs(secs)),
            false => Err(self.problem(format_args!("{secs} is no time from year 1 to 9999"))),
        }
    }

    /// Two cells: from and to.
    pub fn maybe_period(&mut self) -> Result<Option<Period>, Problem> {
        let (from, to) = (self.maybe_time()?, self.maybe_time()?);
        Ok(from.zip(to).map(|(from, to)| Period::new(from, to)))
    }

    pub fn micros(&mut self) -> Result<Micros, Problem> {
        self.get().map(Micros::new)
    }

    pub fn maybe_micros(&mut self) -> Result<Option<Micros>, Problem> {
        Ok(self.maybe_int()?.map(Micros::new))
    }

    pub fn text(&mut self) -> Result<String, Problem> {
        self.get()
    }

    pub fn maybe_text(&mut self) -> Result<Option<String>, Problem> {
        self.get()
    }

    pub fn currency(&mut self) -> Result<Currency, Problem> {
        let code: &str = self.get()?;
        Currency::parse(code).ok_or_else(|| self.problem(format_args!("no such currency: {code}")))
    }

    pub fn maybe_price(&mut self) -> Result<Option<Price>, Problem> {
        let pico = self.get::<Option<&str>>()?.map(str::parse).transpose();
        pico.map(|pico| pico.map(Price::from_pico)).map_err(|error| self.problem(error))
    }

    /// One of the names that the rules' enums are serialised as.
    pub fn name<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T, Problem> {
        let name: &str = self.get()?;
        named(name).map_err(|problem| self.problem(problem))
    }

    pub fn maybe_name<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<T>, Problem> {
        let name: Option<&str> = self.get()?;
        name.map(named).transpose().map_err(|problem| self.problem(problem))
    }

    pub fn json<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        let text: &str = self.get()?;
        serde_json::from_str(text).map_err(|error| self.problem(error))
    }

    pub fn maybe_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Problem> {
        let text: Option<&str> = self.get()?;
        text.map(serde_json::from_str).transpose().map_err(|error| self.problem(error))
    }
}

fn named<T: for<'de> Deserialize<'de>>(name: &str) -> Result<T, Problem> {
    T::deserialize(StrDeserializer::<NameError>::new(name)).map_err(|error| error.to_string())
}

/// What has to be there given what the row says elsewhere.
pub fn required<T>(value: Option<T>, column: &str) -> Result<T, Problem> {
    value.ok_or_else(|| format!("{column}: missing"))
}
