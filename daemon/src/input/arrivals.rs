//! An import's file: a JSON object on each line. The lines of an account stand directly behind its own, so that a
//! file of any size is read account by account.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;

use rules::{
    Arrival, ArrivingInvoice, ArrivingService, Currency, Micros, Mode, Order, Plan, PriceBook, PriceList, StopReason,
    SuspendReason, Timestamp,
};

use super::document::{Format, parse};
use super::problem::{Place, Problem, Problems};
use super::reader::{Report, Table, Value};
use super::{prices, words};

const PLAN_KEYS: &[&str] = &["kind", "plan"];
const ACCOUNT_KEYS: &[&str] = &[
    "kind",
    "name",
    "currency",
    "opened_at",
    "suspended_for",
    "resume_on_deposit",
    "email",
    "person",
    "company",
    "address",
    "tax_id",
    "language",
    "provider",
    "provider_customer",
    "payment_method",
];
const WALLET_KEYS: &[&str] = &["kind", "account", "balance"];
const SERVICE_KEYS: &[&str] = &[
    "kind",
    "account",
    "name",
    "plan",
    "quantities",
    "options",
    "created_at",
    "paid_until",
    "stopped_for",
    "anchor",
    "ends_with_period",
];
const INVOICE_KEYS: &[&str] = &["kind", "account", "series", "number", "issued_at", "total", "open", "overdue"];
const NUMBERS_KEYS: &[&str] = &["kind", "series", "next"];
const TOTALS_KEYS: &[&str] = &["kind", "accounts", "services", "invoices", "wallets", "open"];
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
    pub service_lines: Vec<usize>,
    pub details: BTreeMap<&'static str, String>,
    pub invoices: Vec<Printed>,
}

/// An invoice as it was printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Printed {
    pub series: String,
    pub number: String,
    pub total: Micros,
}

/// What a file comes to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Totals {
    pub accounts: u64,
    pub services: u64,
    pub invoices: u64,
    pub wallets: BTreeMap<String, Micros>,
    pub open: BTreeMap<String, Micros>,
}

/// A file that is read.
pub struct Arrivals {
    file: String,
    lines: Lines<BufReader<File>>,
    line: usize,
    now: Timestamp,
    currency: Currency,
    pub book: PriceBook,
    pub plans: PriceList,
    pub numbers: BTreeMap<String, i64>,
    pub totals: Totals,
    said: Option<Totals>,
    names: HashSet<String>,
    open: Option<Imported>,
    problems: Vec<Problem>,
}

impl Arrivals {
    /// Opens a file; its plans are laid beside those of `book`, which a resumed import has among them already.
    pub fn open(path: &Path, book: PriceBook, currency: Currency, now: Timestamp) -> Result<Self, Problems> {
        let file = path.display().to_string();
        let opened =
            File::open(path).map_err(|error| Problems::of_file(file.clone(), format!("can't be read: {error}")))?;
        Ok(Self {
            file,
            lines: BufReader::new(opened).lines(),
            line: 0,
            now,
            currency,
            book,
            plans: PriceList::new(),
            numbers: BTreeMap::new(),
            totals: Totals::default(),
            said: None,
            names: HashSet::new(),
            open: None,
            problems: Vec::new(),
        })
    }

    /// The next account, whole. What is wrong on the way is kept for the end.
    pub fn next_account(&mut self) -> Option<Imported> {
        loop {
            let text = match self.lines.next() {
                Some(Ok(text)) => text,
                Some(Err(error)) => {
                    self.line += 1;
                    self.note(self.line, "", format!("can't be read: {error}"));
                    return self.close();
                }
                None => return self.close(),
            };
            self.line += 1;
            if text.trim().is_empty() {
                continue;
            }
            if self.said.is_some() {
                self.note(self.line, "", "the line of the `totals` is the last one".to_owned());
            }
            if let Some(done) = self.take_line(&text) {
                return Some(done);
            }
        }
    }

    /// All that is wrong, or what the file comes to.
    pub fn finish(mut self) -> Result<(Totals, PriceList, BTreeMap<String, i64>), Problems> {
        match self.said.take() {
            None => self.note(self.line, "", "the last line has to be the `totals`".to_owned()),
            Some(said) => self.tie(&said),
        }
        let read = (self.totals, self.plans, self.numbers);
        Problems::checked(self.problems, Some(read))
    }

    /// Notes a problem that somebody else found.
    pub fn note(&mut self, line: usize, key: &str, message: String) {
        let place = Place { line: Some(line), key: key.to_owned(), ..Place::default() };
        self.problems.push(Problem { file: self.file.clone(), place, message });
    }

    fn take_line(&mut self, text: &str) -> Option<Imported> {
        let mut node = match parse(&self.file, text, Format::Json) {
            Ok(node) => node,
            Err(problems) => {
                let line = Some(self.line);
                self.problems.extend(
                    problems
                        .into_vec()
                        .into_iter()
                        .map(|problem| Problem { place: Place { line, ..problem.place }, ..problem }),
                );
                return None;
            }
        };
        node.stands_on(self.line);
        let report = Report::new(self.file.clone());
        let done = self.take(&Value::document(&node, &report));
        self.problems.extend(report.into_problems());
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
            Kind::Numbers => {
                table.only(NUMBERS_KEYS);
                let series = table.need("series", words::text);
                let next = table.need("next", words::whole(1..=u32::MAX));
                if self.numbers.insert(series?, i64::from(next?)).is_some() {
                    value.note("this series stands in the file already");
                }
            }
            Kind::Totals => {
                self.said = totals(&table);
                return Some(self.close());
            }
        }
        Some(None)
    }

    fn plan(&mut self, table: &Table<'_>) -> Option<()> {
        table.only(PLAN_KEYS);
        let (id, plan) = table.need("plan", prices::plan)?;
        let plan = Plan { private: true, ..plan };
        let own: PriceList = [(id.clone(), plan)].into();
        if self.plans.contains_key(&id) {
            return table.value().fail(format!("plan `{id}` stands in this file already"));
        }
        if !self.book.has_same(&own) && self.book.lay(Timestamp::BEGINNING, own.clone()).is_err() {
            return table.value().fail(format!("plan `{id}` is published already: give it another id"));
        }
        self.plans.extend(own);
        Some(())
    }

    fn account(&mut self, table: &Table<'_>) -> Option<Imported> {
        table.only(ACCOUNT_KEYS);
        let name = table.need("name", words::name);
        let currency = table.or("currency", self.currency, words::currency);
        let opened_at = table.need("opened_at", |value| not_after(value, self.now));
        let suspended_for = table.maybe("suspended_for", words::one_of(&SUSPENSIONS));
        let resume_on_deposit = table.or("resume_on_deposit", false, words::flag);
        let mut details = BTreeMap::new();
        for key in &ACCOUNT_KEYS[6..] {
            if let Some(text) = table.maybe(key, words::text)? {
                details.insert(*key, text);
            }
        }
        let name = name?;
        if !self.names.insert(format!("account {name}")) {
            table.value().note(format!("account `{name}` stands in this file already"));
        }
        let arrival = Arrival {
            name,
            currency: currency?,
            opened_at: opened_at?,
            suspended_for: suspended_for?,
            resume_on_deposit: resume_on_deposit?,
            wallet: Micros::ZERO,
            services: Vec::new(),
            invoices: Vec::new(),
        };
        Some(Imported { line: self.line, arrival, service_lines: Vec::new(), details, invoices: Vec::new() })
    }

    /// The account that this line is of: the last one.
    fn owner(&mut self, table: &Table<'_>) -> Option<&mut Imported> {
        let name = table.need("account", words::name)?;
        let is_open = self.open.as_ref().is_some_and(|open| open.arrival.name == name);
        if !is_open {
            return table.value().fail(format!(
                "the lines of account `{name}` stand directly behind its own, which has to be right itself"
            ));
        }
        self.open.as_mut()
    }

    fn wallet(&mut self, table: &Table<'_>) -> Option<()> {
        table.only(WALLET_KEYS);
        let balance = table.need("balance", words::balance);
        let owner = self.owner(table)?;
        if !owner.arrival.wallet.is_zero() {
            table.value().note("the account's wallet stands in this file already");
        }
        owner.arrival.wallet = balance?;
        Some(())
    }

    fn service(&mut self, table: &Table<'_>) -> Option<()> {
        table.only(SERVICE_KEYS);
        let now = self.now;
        let owner = self.owner(table)?;
        let (opened_at, currency) = (owner.arrival.opened_at, owner.arrival.currency);
        let suspended_for = owner.arrival.suspended_for;
        let name = table.need("name", words::name);
        let plan = table.need("plan", words::name);
        let quantities = table.or("quantities", BTreeMap::new(), words::quantities);
        let options = table.or("options", Default::default(), words::options);
        let created_at = table.need("created_at", |value| {
            let at = not_after(value, now)?;
            if at < opened_at { value.refuse("it is not before the account's `opened_at`") } else { Some(at) }
        });
        let paid_until = table.need("paid_until", words::time);
        let stopped = table.maybe("stopped_for", words::one_of(&STOPS));
        let ends_with_period = table.or("ends_with_period", false, words::flag);
        let anchor = table.maybe("anchor", words::time);
        let order = Order { plan: plan?, quantities: quantities?, options: options? };
        let Some(plan) = self.book.in_force(&order.plan, now, currency) else {
            return table.value().fail(format!("plan: {:?}: no plan in force serves the account", order.plan));
        };
        if !self.book.knows(&order) {
            return table.value().fail(format!("plan `{}` lacks a component or an option of this service", order.plan));
        }
        let (mode, months) = (plan.mode, plan.term_months);
        let (name, created_at) = (name?, created_at?);
        if !self.names.insert(format!("service {name}")) {
            table.value().note(format!("service `{name}` stands in this file already"));
        }
        let service = ArrivingService {
            name,
            created_at,
            order,
            mode,
            months,
            stopped: stopped?,
            ends_with_period: ends_with_period?,
            paid_until: paid_until?,
            anchor: anchor?.unwrap_or(created_at),
        };
        fits(table, &service, suspended_for, now)?;
        let line = self.line;
        let owner = self.open.as_mut()?;
        let enabled = |one: &&ArrivingService| one.mode == Mode::Daily && one.stopped.is_none();
        if enabled(&&service)
            && let Some(other) = owner.arrival.services.iter().find(enabled)
            && other.paid_until != service.paid_until
        {
            table.value().note(format!(
                "paid_until: enabled instances of an account are paid until one midnight, and `{}` until {}",
                other.name, other.paid_until
            ));
        }
        owner.arrival.services.push(service);
        owner.service_lines.push(line);
        Some(())
    }

    fn invoice(&mut self, table: &Table<'_>) -> Option<()> {
        table.only(INVOICE_KEYS);
        let now = self.now;
        let owner = self.owner(table)?;
        let (opened_at, currency) = (owner.arrival.opened_at, owner.arrival.currency);
        let series = table.or("series", String::new(), words::text);
        let number = table.need("number", words::text);
        let issued_at = table.need("issued_at", |value| {
            let at = not_after(value, now)?;
            if at < opened_at { value.refuse("it is not before the account's `opened_at`") } else { Some(at) }
        });
        let minor = |value: &Value<'_>| {
            let amount = words::positive_amount(value)?;
            let whole = amount.is_whole_minor(currency);
            if whole { Some(amount) } else { value.refuse("an invoice's amount is in whole minor units") }
        };
        let (total, open) = (table.need("total", minor), table.need("open", minor));
        let overdue = table.or("overdue", false, words::flag);
        let (issued_at, total, open) = (issued_at?, total?, open?);
        if open > total {
            return table.value().fail(format!("open: {open}: what is still to pay is at most the total, {total}"));
        }
        if owner.arrival.invoices.last().is_some_and(|last| last.issued_at > issued_at) {
            table.value().note("the invoices of an account stand in the order of their `issued_at`");
        }
        let (series, number) = (series?, number?);
        owner.arrival.invoices.push(ArrivingInvoice { issued_at, open, overdue: overdue? });
        owner.invoices.push(Printed { series: series.clone(), number: number.clone(), total });
        if !self.names.insert(format!("invoice {series} {number}")) {
            table.value().note(format!("number: `{number}` of series `{series}` stands in this file already"));
        }
        Some(())
    }

    /// Ends the account that is read, and counts it.
    fn close(&mut self) -> Option<Imported> {
        let done = self.open.take()?;
        if let Some(problem) = misfit(&done) {
            self.note(done.line, "suspended_for", problem);
        }
        let code = done.arrival.currency.code();
        self.totals.accounts += 1;
        self.totals.services += u64::try_from(done.arrival.services.len()).unwrap_or_default();
        self.totals.invoices += u64::try_from(done.arrival.invoices.len()).unwrap_or_default();
        let mut add = |sums: fn(&mut Totals) -> &mut BTreeMap<String, Micros>, amount: Micros| {
            let sum = sums(&mut self.totals).entry(code.to_owned()).or_default();
            match sum.checked_add(amount) {
                Ok(added) => *sum = added,
                Err(beyond) => {
                    let place = Place { line: Some(done.line), ..Place::default() };
                    self.problems.push(Problem { file: self.file.clone(), place, message: beyond.to_string() });
                }
            }
        };
        if !done.arrival.wallet.is_zero() {
            add(|totals| &mut totals.wallets, done.arrival.wallet);
        }
        for invoice in &done.arrival.invoices {
            add(|totals| &mut totals.open, invoice.open);
        }
        Some(done)
    }

    fn tie(&mut self, said: &Totals) {
        let line = self.line;
        let counted = self.totals.clone();
        let counts = [
            ("accounts", said.accounts, counted.accounts),
            ("services", said.services, counted.services),
            ("invoices", said.invoices, counted.invoices),
        ];
        for (key, said, counted) in counts.into_iter().filter(|(_, said, counted)| said != counted) {
            self.note(line, key, format!("{said}: the file has {counted}"));
        }
        for (key, said, counted) in [("wallets", &said.wallets, counted.wallets), ("open", &said.open, counted.open)] {
            let codes: HashSet<&String> = said.keys().chain(counted.keys()).collect();
            for code in codes {
                let [said, counted] = [said, &counted].map(|sums| sums.get(code).copied().unwrap_or_default());
                if said != counted {
                    self.note(line, &format!("{key}.{code}"), format!("{said}: the file comes to {counted}"));
                }
            }
        }
    }
}

fn not_after(value: &Value<'_>, now: Timestamp) -> Option<Timestamp> {
    let at = words::time(value)?;
    if at > now { value.refuse(&format!("it is not after the second of the import, {now}")) } else { Some(at) }
}

/// What a service's times and states must be so that nothing is charged twice or left out.
fn fits(
    table: &Table<'_>,
    service: &ArrivingService,
    suspended_for: Option<SuspendReason>,
    now: Timestamp,
) -> Option<()> {
    let paid = service.paid_until;
    let said = |what: String| table.value().fail(format!("paid_until: {paid}: {what}"));
    if service.stopped.is_none() && suspended_for.is_some() {
        return table.value().fail("stopped_for: no service of a suspended account runs: say why it is stopped");
    }
    if service.stopped.is_some_and(StopReason::is_accounts) && service.stopped != suspended_for.map(StopReason::from) {
        return table.value().fail("stopped_for: this reason is the account's, which is not suspended for it");
    }
    match service.mode {
        Mode::Daily if paid != paid.midnight() || paid <= service.created_at || paid > now.next_midnight() => said(
            format!("a daily instance is paid until a midnight after its creation, {} at most", now.next_midnight()),
        ),
        Mode::Term if rules::term_until(service.anchor, service.months, paid).is_none() => {
            said(format!("a term ends whole terms of {} months after the anchor, {}", service.months, service.anchor))
        }
        Mode::Term if service.anchor > now => table.value().fail("anchor: it is not after the second of the import"),
        Mode::Monthly if paid == now.next_month_start() => Some(()),
        Mode::Monthly | Mode::Hourly if paid < now.month_start() || paid > now => said(format!(
            "a server is billed until a second of this month, from {} to {now}, or a monthly one until {}",
            now.month_start(),
            now.next_month_start()
        )),
        _ => Some(()),
    }
}

/// What its open invoices say against the state of an account.
fn misfit(imported: &Imported) -> Option<String> {
    let overdue = imported.arrival.invoices.iter().any(|invoice| invoice.overdue);
    match imported.arrival.suspended_for {
        None if overdue => {
            Some("an overdue invoice suspends its account: say so, or leave `overdue` to the rules".into())
        }
        Some(SuspendReason::Unpaid) if !overdue => {
            Some("an account is suspended for \"unpaid\" while an invoice of it is `overdue`: give that invoice".into())
        }
        _ => None,
    }
}

fn totals(table: &Table<'_>) -> Option<Totals> {
    table.only(TOTALS_KEYS);
    let count = words::whole(0..=u32::MAX);
    let [accounts, services, invoices] = ["accounts", "services", "invoices"].map(|key| table.or(key, 0, &count));
    let sums =
        |value: &Value<'_>| words::named(value, "amounts by currency, like {\"USD\": \"12.00\"}", words::balance);
    let wallets = table.or("wallets", BTreeMap::new(), sums);
    let open = table.or("open", BTreeMap::new(), sums);
    Some(Totals {
        accounts: u64::from(accounts?),
        services: u64::from(services?),
        invoices: u64::from(invoices?),
        wallets: wallets?,
        open: open?,
    })
}
