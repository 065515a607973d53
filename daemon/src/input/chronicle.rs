//! What an entry may be after those before it: order, names, currencies, outages, price lists.

use std::collections::BTreeMap;

use rules::{Currency, HOUR, PriceBook, PriceList, Timestamp, parse_decimal};

use super::prices;
use super::reader::{Table, Value};
use super::verbs::Verb;
use super::words::AMOUNT_DIGITS;

/// A shorter silence is none (rule 11.8).
const SHORTEST_OUTAGE_HOURS: i64 = 12;

/// The entries so far. It looks at what is written, so that an entry with a problem of its own counts too.
pub struct Chronicle<'a> {
    /// Of accounts that name none; not known if the config has a problem.
    currency: Option<Currency>,
    until: Option<Timestamp>,
    entry: usize,
    /// The latest time so far, and the entry that it is of.
    latest: Option<(Timestamp, usize)>,
    opened: BTreeMap<&'a str, Opened>,
    created: BTreeMap<&'a str, usize>,
    lists: Vec<(Timestamp, PriceList, Value<'a>)>,
}

struct Opened {
    by: usize,
    currency: Option<Currency>,
}

impl<'a> Chronicle<'a> {
    pub fn new(currency: Option<Currency>, until: Option<Timestamp>) -> Self {
        let (opened, created) = (BTreeMap::new(), BTreeMap::new());
        Self { currency, until, entry: 0, latest: None, opened, created, lists: Vec::new() }
    }

    /// A price list, and where it is written.
    pub fn list(&mut self, since: Timestamp, list: &PriceList, value: Value<'a>) {
        self.lists.push((since, list.clone(), value));
    }

    /// Lays the lists over each other by their seconds and notes those that don't fit.
    pub fn check_lists(mut self) {
        let mut book = PriceBook::default();
        self.lists.sort_by_key(|(since, _, _)| *since);
        for (since, list, value) in &self.lists {
            prices::lay(&mut book, *since, list, value);
        }
    }

    /// The next entry, as far as it could be read.
    pub fn next(&mut self, table: Option<&Table<'a>>, at: Option<Timestamp>, verb: Option<&Verb>) {
        self.entry += 1;
        let Some(table) = table else { return };
        match table.text("do") {
            Some("open_account") => self.opens(table),
            Some("create_service") => self.creates(table),
            Some("deposit" | "dispute") => self.check_decimals(table),
            Some("outage") => self.check_outage(table, at),
            _ => {}
        }
        if let (Some(at), Some(Verb::SetPrices(list)), Some(value)) = (at, verb, table.get("plans")) {
            self.list(at, list, value);
        }
        self.check_order(table, at);
    }

    fn check_order(&mut self, table: &Table<'a>, at: Option<Timestamp>) {
        let (Some(at), Some(value)) = (at, table.get("at")) else { return };
        if let Some(until) = self.until.filter(|until| at > *until) {
            value.note(format!("{at} is after `until`, {until}"));
        }
        match self.latest {
            Some((latest, by)) if at < latest => {
                value.note(format!("{at} is before {latest}, the time of entry {by}: entries stand in time order"));
            }
            _ => self.latest = Some((at, self.entry)),
        }
    }

    fn opens(&mut self, table: &Table<'a>) {
        let Some(account) = table.text("account") else { return };
        let currency = match table.get("currency") {
            Some(value) => value.as_str().and_then(Currency::parse),
            None => self.currency,
        };
        if let Some(Opened { by, .. }) = self.opened.get(account) {
            table.value().note(format!("account `{account}` is opened by entry {by} already"));
        } else {
            self.opened.insert(account, Opened { by: self.entry, currency });
        }
    }

    fn creates(&mut self, table: &Table<'a>) {
        let Some(service) = table.text("service") else { return };
        if let Some(by) = self.created.get(service) {
            table.value().note(format!("service `{service}` is created by entry {by} already"));
        } else {
            self.created.insert(service, self.entry);
        }
    }

    fn check_decimals(&self, table: &Table<'a>) {
        // As written: `5.000` has three.
        let amount = table.text("amount").filter(|text| parse_decimal(text, AMOUNT_DIGITS, false).is_some());
        let decimals = amount.map(|text| text.split_once('.').map_or(0, |(_, decimals)| decimals.len()));
        let opened = table.text("account").and_then(|account| self.opened.get(account));
        let currency = opened.map_or(self.currency, |opened| opened.currency);
        let (Some(decimals), Some(currency), Some(value)) = (decimals, currency, table.get("amount")) else { return };
        let most = currency.digits();
        if u32::try_from(decimals).is_ok_and(|decimals| decimals > most) {
            let most = match most {
                0 => "no decimals".to_owned(),
                1 => "at most 1 decimal".to_owned(),
                digits => format!("at most {digits} decimals"),
            };
            value.note(format!("an amount in {currency} has {most}"));
        }
    }

    fn check_outage(&self, table: &Table<'a>, at: Option<Timestamp>) {
        let since = table.text("since").and_then(Timestamp::parse);
        let (Some(at), Some(since), Some(value)) = (at, since, table.get("since")) else { return };
        if at.secs() - since.secs() < SHORTEST_OUTAGE_HOURS * HOUR {
            value.note(format!("an outage lasts {SHORTEST_OUTAGE_HOURS} hours or more, up to `at`, {at}"));
        }
        if let Some((latest, by)) = self.latest.filter(|(latest, _)| *latest >= since) {
            value.note(format!("every entry before an outage is earlier than {since}; entry {by} is of {latest}"));
        }
    }
}
