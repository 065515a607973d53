//! `bursar statement`.

use rules::{Micros, Period, Timestamp};
use serde_json::{Value, json};
use store::Statement;

use crate::cli::books::{self, Books};
use crate::cli::printed::{self, Names};
use crate::cli::reference::{self, Reference, Referred};
use crate::cli::rows::{entries_table, entry_json, with_currency, written};
use crate::cli::{DONE, Format, LIMIT_MAX};
use crate::input::{BadInput, arguments};
use crate::tables::{or_dash, table};

/// A busy month, whole.
const ENTRIES: u32 = 1_000;

#[derive(clap::Args)]
pub struct StatementArgs {
    #[command(flatten)]
    books: Books,
    account: String,
    /// From this second or day on; from the opening, if not given
    #[arg(long, value_name = "TIME", value_parser = arguments::time)]
    from: Option<Timestamp>,
    /// Up to this second or day, which is not in it any more; up to the settled second, if not given
    #[arg(long, value_name = "TIME", value_parser = arguments::time)]
    to: Option<Timestamp>,
    /// Only those before this entry: the page before
    #[arg(long, value_name = "ENTRY")]
    before: Option<Reference>,
    /// How many entries at most, the newest
    #[arg(long, default_value_t = ENTRIES, value_parser = clap::value_parser!(u32).range(1..=LIMIT_MAX))]
    limit: u32,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub async fn run(args: StatementArgs) -> anyhow::Result<u8> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from >= to
    {
        return Err(BadInput(format!("--to {to}: it is not after --from {from}")).into());
    }
    let before = match &args.before {
        None => None,
        Some(Reference { account, to: Referred::Entry(number) }) if *account == args.account => Some(*number),
        Some(other) => {
            let entry = reference::entry(&args.account, 12);
            return Err(BadInput(format!("--before {other}: it is an entry of the account, like {entry}")).into());
        }
    };
    let store = args.books.store().await?;
    let documents = args.books.policy(&store).await?.documents;
    let account = books::account(&store, &args.account).await?;
    let range =
        Period::new(args.from.unwrap_or(Timestamp::BEGINNING), args.to.unwrap_or(Timestamp::from_secs(i64::MAX)));
    let statement = store.statement(account, range, before, args.limit).await?;
    let open = statement.account.invoices.iter().map(|invoice| invoice.number);
    let mut invoices: Vec<i64> = statement.entries.iter().filter_map(|entry| entry.invoice).chain(open).collect();
    invoices.sort_unstable();
    invoices.dedup();
    let names = printed::names(&store, account, &invoices, &documents).await?;
    let shown = Shown { balances: balances(&statement), names, statement };
    args.format.print(&shown.json(&args), &shown.text(&args))?;
    Ok(DONE)
}

/// The wallet behind each entry.
pub fn balances(statement: &Statement) -> Vec<Micros> {
    let behind = statement.entries.iter().scan(statement.opening.get(), |wallet, entry| {
        *wallet += entry.wallet_amount().unwrap_or_default().get();
        Some(Micros::new(*wallet))
    });
    behind.collect()
}

/// A page of a statement, as it is shown.
struct Shown {
    statement: Statement,
    balances: Vec<Micros>,
    names: Names,
}

impl Shown {
    fn closing(&self) -> Micros {
        self.balances.last().copied().unwrap_or(self.statement.opening)
    }

    /// The entry that older ones are before.
    fn older(&self) -> Option<String> {
        let first = self.statement.entries.first().filter(|_| self.statement.has_older)?;
        Some(reference::entry(&first.account, first.number))
    }

    fn json(&self, args: &StatementArgs) -> Value {
        let account = &self.statement.account;
        let entries = self.statement.entries.iter().zip(&self.balances).map(|(entry, balance)| {
            let mut json = entry_json(entry);
            json["balance"] = json!(balance.to_string());
            json["invoice_number"] = json!(entry.invoice.and_then(|number| self.names.get(&number)));
            json
        });
        let open = account.invoices.iter().map(|invoice| {
            json!({
                "ref": reference::invoice(&account.name, invoice.number),
                "printed": self.names.get(&invoice.number),
                "issued_at": invoice.issued_at.to_string(),
                "total": invoice.total.in_minor(account.currency),
                "to_pay": invoice.to_pay().in_minor(account.currency),
                "overdue": invoice.overdue,
            })
        });
        json!({
            "account": account.name,
            "currency": account.currency.code(),
            "from": written(args.from),
            "to": written(args.to),
            "opening_balance": self.statement.opening.to_string(),
            "entries": entries.collect::<Vec<_>>(),
            "older_before": self.older(),
            "closing_balance": self.closing().to_string(),
            "open_invoices": open.collect::<Vec<_>>(),
            "as_of": account.settled_at.to_string(),
        })
    }

    fn text(&self, args: &StatementArgs) -> String {
        let account = &self.statement.account;
        let from = args.from.map_or_else(|| "its opening".to_owned(), |from| from.to_string());
        let to = args.to.map_or_else(|| "now".to_owned(), |to| to.to_string());
        let mut text = format!("Statement of {}, from {from} to {to}, as of {}", account.name, account.settled_at);
        if let Some(older) = self.older() {
            let shown = self.statement.entries.len();
            text += &format!("\nThe newest {shown} entries; for older ones go on with --before {older}");
        }
        text += &format!("\nOpening balance {}", with_currency(self.statement.opening, account.currency));
        if !self.statement.entries.is_empty() {
            let table = entries_table(&self.statement.entries, Some(&self.balances), &self.names);
            text += &format!("\n{table}");
        }
        text += &format!("\nClosing balance {}", with_currency(self.closing(), account.currency));
        if account.invoices.is_empty() { text + "\nNo open invoices." } else { format!("{text}\n{}", self.open()) }
    }

    fn open(&self) -> String {
        let account = &self.statement.account;
        let mut table = table(&["open invoice", "number", "issued at", "state", "total", "to pay"], &[4, 5]);
        for invoice in &account.invoices {
            table.add_row([
                reference::invoice(&account.name, invoice.number).as_str(),
                or_dash(self.names.get(&invoice.number).map(String::as_str)),
                &invoice.issued_at.to_string(),
                if invoice.overdue { "overdue" } else { "open" },
                &invoice.total.in_minor(account.currency),
                &invoice.to_pay().in_minor(account.currency),
            ]);
        }
        table.to_string()
    }
}
