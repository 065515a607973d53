//! What the demo came to: a table of the months and the night, and one charge of the night explained.

use std::collections::BTreeMap;
use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};
use rules::{AccountId, Basis, Currency, Micros, PriceBook, Timestamp, TransferKind, explain, round_to_minor};
use store::{EventRow, LedgerRow, Store};

use crate::demo::story::Months;

/// What is counted and summed, and of which transfers.
const MONEY: [(&str, &[TransferKind]); 6] = [
    ("deposits", &[TransferKind::Deposit]),
    ("days and terms charged", &[TransferKind::Period]),
    ("upgrades charged", &[TransferKind::Upgrade]),
    ("downgrades credited", &[TransferKind::Downgrade]),
    ("invoices issued", &[TransferKind::InvoiceIssued]),
    ("invoice payments", &[TransferKind::InvoicePaidByCard, TransferKind::InvoicePaidByWallet]),
];

const EVENTS: [(&str, &str); 9] = [
    ("instances disabled", "service.disabled"),
    ("services renewed", "service.renewed"),
    ("services suspended", "service.suspended"),
    ("services resumed", "service.resumed"),
    ("removals ordered", "service.removal_queued"),
    ("card charges failed", "payment.failed"),
    ("accounts suspended", "account.suspended"),
    ("accounts restored", "account.restored"),
    ("trials ended", "trial.ended"),
];

pub struct Summary {
    accounts: usize,
    services: usize,
    /// Seconds at which a column begins, with its title.
    columns: Vec<(Timestamp, String)>,
    ledger: Vec<LedgerRow>,
    events: Vec<EventRow>,
    explained: Option<String>,
}

impl Summary {
    pub async fn read(store: &Store, tonight: Timestamp) -> anyhow::Result<Self> {
        let (ledger, events) = (store.ledger(None).await?, store.events(None).await?);
        let accounts = store.account_ids(AccountId(0), AccountId(i64::MAX), u32::MAX).await?.len();
        let services = events.iter().filter(|event| event.kind == "service.created").count();
        let Months { last, this } = Months::before(tonight);
        let month = |first: Timestamp| first.civil().format("%B %Y").to_string();
        let so_far = if this.plus_months(1) == tonight { "" } else { " so far" };
        let columns = vec![
            (last, month(last)),
            (this, month(this) + so_far),
            (tonight, tonight.civil().format("midnight of %Y-%m-%d").to_string()),
        ];
        let explained = explained(&ledger, tonight, &store.price_book().await?);
        Ok(Self { accounts, services, columns, ledger, events, explained })
    }

    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "Three sample hosts in one database: {} accounts, {} services.", self.accounts, self.services)?;
        let mut table = Table::new();
        let titles = self.columns.iter().map(|(_, title)| title.clone());
        table.load_preset(presets::UTF8_FULL_CONDENSED).set_header([String::new()].into_iter().chain(titles));
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for (name, kinds) in MONEY {
            table.add_row(self.row(name, |since, until| self.money(kinds, since, until)));
        }
        for (name, kind) in EVENTS {
            table.add_row(self.row(name, |since, until| self.count(kind, since, until)));
        }
        writeln!(out, "{table}")?;
        match &self.explained {
            Some(explained) => writeln!(out, "\nOne charge of this midnight, explained:\n{explained}\n"),
            None => writeln!(out, "\nNothing was charged at this midnight.\n"),
        }
    }

    fn row(&self, name: &str, cell: impl Fn(Timestamp, Timestamp) -> String) -> Vec<String> {
        let ends = self.columns.iter().skip(1).map(|(since, _)| *since);
        let ends = ends.chain([Timestamp::from_secs(i64::MAX)]);
        let cells = self.columns.iter().zip(ends).map(|((since, _), until)| cell(*since, until));
        [name.to_owned()].into_iter().chain(cells).collect()
    }

    fn count(&self, kind: &str, since: Timestamp, until: Timestamp) -> String {
        let of_kind = self.events.iter().filter(|event| event.kind == kind);
        or_dash(of_kind.filter(|event| since <= event.at && event.at < until).count())
    }

    /// How many, and what they come to in each currency.
    fn money(&self, kinds: &[TransferKind], since: Timestamp, until: Timestamp) -> String {
        let mut sums: BTreeMap<&str, (Currency, usize, Micros)> = BTreeMap::new();
        for row in &self.ledger {
            if kinds.contains(&row.kind) && since <= row.effective_at && row.effective_at < until {
                let sum = sums.entry(row.currency.code()).or_insert((row.currency, 0, Micros::ZERO));
                sum.1 += 1;
                sum.2 = sum.2.checked_add(row.amount).unwrap_or(sum.2);
            }
        }
        if sums.is_empty() {
            return or_dash(0);
        }
        let line = |(currency, count, sum): &(Currency, usize, Micros)| {
            format!("{count}: {} {currency}", in_minor(*sum, *currency))
        };
        sums.values().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn or_dash(count: usize) -> String {
    if count == 0 { "-".to_owned() } else { count.to_string() }
}

/// Wallets count in smaller units than people do.
fn in_minor(amount: Micros, currency: Currency) -> String {
    round_to_minor(&amount.exact(), currency).map_or_else(|_| amount.to_string(), |amount| amount.in_minor(currency))
}

/// The charge of this night whose price is made of most.
fn explained(ledger: &[LedgerRow], tonight: Timestamp, book: &PriceBook) -> Option<String> {
    let charges = ledger.iter().filter(|row| row.effective_at >= tonight && row.kind == TransferKind::Period);
    let with_basis = charges.filter_map(|row| Some((row, row.basis.as_ref()?)));
    let (row, basis) =
        with_basis.max_by_key(|(row, basis)| (parts_of(basis, book), std::cmp::Reverse(&row.service)))?;
    let service = row.service.as_deref().unwrap_or("its service");
    let period = row.period.map(|period| format!(" from {} to {}", period.from, period.to)).unwrap_or_default();
    let why = explain(basis, row.amount, row.currency, book);
    Some(format!("{} was charged for {service}{period}:\n  {why}", row.account))
}

fn parts_of(basis: &Basis, book: &PriceBook) -> usize {
    match basis {
        Basis::Share { of, .. } => {
            book.parts(&of.order, of.list.unwrap_or(Timestamp::BEGINNING)).map_or(0, |parts| parts.len())
        }
        _ => 0,
    }
}
