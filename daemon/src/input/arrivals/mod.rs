//! An import's file: a JSON object on each line. The lines of an account stand directly behind its own, so that a
//! file of any size is read account by account.

mod account;
mod lines;
mod names;
mod service;
#[cfg(test)]
mod tests;
mod totals;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rules::{
    Arrival, Context, DocumentPolicy, Micros, Misfit, Outage, Policy, PriceBook, PriceList, StopReason, SuspendReason,
    Timestamp,
};

use self::lines::Lines;
use self::names::Names;
pub use self::totals::{Totals, add};
use super::document::{Format, parse};
use super::problem::{Place, Problem, Problems};
use super::reader::{Report, Table, Value};
use super::words;

const NUMBERS_KEYS: &[&str] = &["kind", "series", "next"];
const KINDS: [(&str, Kind); 7] = [
    ("plan", Kind::Plan),
    ("account", Kind::Account),
    ("wallet", Kind::Wallet),
    ("service", Kind::Service),
    ("invoice", Kind::Invoice),
    ("numbers", Kind::Numbers),
    ("totals", Kind::Totals),
];
const SUSPENSIONS: [(&str, SuspendReason); 3] =
    [("unpaid", SuspendReason::Unpaid), ("fraud", SuspendReason::Fraud), ("admin", SuspendReason::Admin)];
const STOPS: [(&str, StopReason); 5] = [
    ("insufficient_funds", StopReason::InsufficientFunds),
    ("customer", StopReason::Customer),
    ("unpaid", StopReason::Unpaid),
    ("fraud", StopReason::Fraud),
    ("admin", StopReason::Admin),
];

/// Problems that are told one by one; of more, how many they are.
const TOLD: usize = 1_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plan,
    Account,
    Wallet,
    Service,
    Invoice,
    Numbers,
    Totals,
}

/// An account with all that comes with it, and the lines on which its names stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imported {
    pub line: usize,
    pub arrival: Arrival,
    pub wallet_line: Option<usize>,
    pub service_lines: Vec<usize>,
    pub details: BTreeMap<&'static str, String>,
    pub invoices: Vec<Printed>,
}

/// An invoice as it was printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Printed {
    pub line: usize,
    pub series: String,
    pub number: String,
    pub total: Micros,
}

/// By what a file is read, and as of which second.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The plans of the file are laid beside these, which a resumed import has among them already.
    pub book: PriceBook,
    pub policy: Arc<Policy>,
    pub outages: Vec<Outage>,
    pub at: Timestamp,
}

impl Terms {
    pub fn context(&self) -> Context<'_> {
        Context { prices: &self.book, policy: &self.policy, outages: &self.outages }
    }
}

/// All that a file says beside its accounts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    pub totals: Totals,
    pub plans: PriceList,
    /// The next number of each series, with its line.
    pub numbers: BTreeMap<String, (i64, usize)>,
}

/// A file that is read.
pub struct Arrivals {
    file: String,
    lines: Lines,
    line: usize,
    pub terms: Terms,
    plans: PriceList,
    pub numbers: BTreeMap<String, (i64, usize)>,
    totals: Totals,
    said: Option<Totals>,
    names: Names,
    open: Option<Imported>,
    /// The last account's name, if its own line is wrong.
    broken: Option<String>,
    problems: Vec<Problem>,
    untold: usize,
}

impl Arrivals {
    pub fn open(path: &Path, terms: Terms) -> Result<Self, Problems> {
        let file = path.display().to_string();
        let lines =
            Lines::open(path).map_err(|error| Problems::of_file(file.clone(), format!("can't be read: {error}")))?;
        Ok(Self {
            file,
            lines,
            line: 0,
            terms,
            plans: PriceList::new(),
            numbers: BTreeMap::new(),
            totals: Totals::default(),
            said: None,
            names: Names::watched(),
            open: None,
            broken: None,
            problems: Vec::new(),
            untold: 0,
        })
    }

    /// A file that was found right: nobody looks for names that come twice.
    pub fn reopen(path: &Path, terms: Terms) -> Result<Self, Problems> {
        Ok(Self { names: Names::unwatched(), ..Self::open(path, terms)? })
    }

    /// The next account, whole. What is wrong on the way is kept for the end.
    pub fn next_account(&mut self) -> Option<Imported> {
        while let Some(read) = self.lines.next() {
            self.line += 1;
            let text = match read {
                Ok(text) if text.trim().is_empty() => continue,
                Ok(text) => text,
                Err(problem) => {
                    self.note(self.line, "", problem);
                    continue;
                }
            };
            if self.said.is_some() {
                self.note(self.line, "", "the line of the `totals` is the last one".to_owned());
            }
            if let Some(done) = self.take_line(&text) {
                return Some(done);
            }
        }
        self.close()
    }

    /// All that is wrong, or what the file comes to.
    pub fn finish(mut self) -> Result<Read, Problems> {
        match self.said.take() {
            None => self.note(self.line, "", "the last line has to be the `totals`".to_owned()),
            Some(said) => {
                for (key, problem) in self.totals.differences(&said) {
                    self.note(self.line, &key, problem);
                }
            }
        }
        self.problems.sort_by_key(|problem| problem.place.line);
        if self.untold > 0 {
            let message = format!("{} more problems are not told one by one", self.untold);
            self.problems.push(Problem { file: self.file, place: Place::default(), message });
        }
        Problems::checked(self.problems, Some(Read { totals: self.totals, plans: self.plans, numbers: self.numbers }))
    }

    /// Notes a problem that somebody else found.
    pub fn note(&mut self, line: usize, key: &str, message: String) {
        let place = Place { line: Some(line).filter(|line| *line > 0), key: key.to_owned(), ..Place::default() };
        self.keep(Problem { file: self.file.clone(), place, message });
    }

    fn keep(&mut self, problem: Problem) {
        if self.problems.len() < TOLD {
            self.problems.push(problem);
        } else {
            self.untold += 1;
        }
    }

    fn take_line(&mut self, text: &str) -> Option<Imported> {
        let mut node = match parse(&self.file, text, Format::Json) {
            Ok(node) => node,
            Err(problems) => {
                for problem in problems.into_vec() {
                    let place = Place { line: Some(self.line), ..problem.place };
                    self.keep(Problem { place, ..problem });
                }
                return None;
            }
        };
        node.stands_on(self.line);
        let report = Report::new(self.file.clone());
        let done = self.take(&Value::document(&node, &report));
        report.into_problems().into_iter().for_each(|problem| self.keep(problem));
        done.flatten()
    }

    fn take(&mut self, value: &Value<'_>) -> Option<Option<Imported>> {
        let table = value.table("a line is an object like {\"kind\": \"account\", …}")?;
        match table.need("kind", words::one_of(&KINDS))? {
            Kind::Plan => self.plan(&table)?,
            Kind::Account => {
                let done = self.close();
                self.open = self.account(&table);
                return Some(done);
            }
            Kind::Wallet => self.wallet(&table)?,
            Kind::Service => self.service(&table)?,
            Kind::Invoice => self.invoice(&table)?,
            Kind::Numbers => self.next_number(&table)?,
            Kind::Totals => {
                self.said = Totals::read(&table);
                return Some(self.close());
            }
        }
        Some(None)
    }

    fn next_number(&mut self, table: &Table<'_>) -> Option<()> {
        table.only(NUMBERS_KEYS);
        let documents = &self.terms.policy.documents;
        let series = table.need("series", |value| series_here(value, documents));
        let next = table.need("next", words::whole(1..=u32::MAX));
        if self.numbers.insert(series?, (i64::from(next?), self.line)).is_some() {
            table.value().note("this series stands in the file already");
        }
        Some(())
    }

    /// Ends the account that is read, and counts it.
    fn close(&mut self) -> Option<Imported> {
        self.broken = None;
        let done = self.open.take()?;
        if let Err(Misfit { key, problem }) = done.arrival.fits(self.terms.at) {
            self.note(done.line, key, problem);
        }
        if let Err(beyond) = self.totals.count(&done) {
            self.note(done.line, "", beyond.to_string());
        }
        Some(done)
    }
}

/// A series that documents are numbered in here.
fn series_here(value: &Value<'_>, documents: &DocumentPolicy) -> Option<String> {
    let series = [&documents.invoice_series, &documents.credit_note_series];
    let named = series.into_iter().find(|series| value.as_str() == Some(series));
    named.cloned().or_else(|| {
        let [invoices, notes] = series;
        value.refuse(&format!(
            "[documents] of the configuration names no such series, so nothing is numbered in it here; it names \
             `{invoices}` for invoices and `{notes}` for credit notes"
        ))
    })
}

fn not_after(value: &Value<'_>, at: Timestamp) -> Option<Timestamp> {
    let time = words::time(value)?;
    if time > at { value.refuse(&format!("it is not after the second of the import, {at}")) } else { Some(time) }
}
