//! `bursar statement`.

use rules::{Account, Micros, Period, Timestamp};
use serde_json::{Value, json};
use store::Statement;

use crate::cli::books::{self, Books};
use crate::cli::reference;
use crate::cli::rows::{entries_table, entry_json, with_currency, written};
use crate::cli::{DONE, Format};
use crate::input::{BadInput, arguments};
use crate::tables::table;

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
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub async fn run(args: StatementArgs) -> anyhow::Result<u8> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from >= to
    {
        return Err(BadInput(format!("--to {to}: it is not after --from {from}")).into());
    }
    let store = args.books.store().await?;
    let account = books::account(&store, &args.account).await?;
    let range =
        Period::new(args.from.unwrap_or(Timestamp::BEGINNING), args.to.unwrap_or(Timestamp::from_secs(i64::MAX)));
    let statement = store.statement(account, range).await?;
    let balances = balances(&statement);
    args.format.print(&statement_json(&args, &statement, &balances), &statement_text(&args, &statement, &balances))?;
    Ok(DONE)
}

/// The wallet behind each entry.
fn balances(statement: &Statement) -> Vec<Micros> {
    let behind = statement.entries.iter().scan(statement.opening.get(), |wallet, entry| {
        *wallet += entry.wallet_amount().unwrap_or_default().get();
        Some(Micros::new(*wallet))
    });
    behind.collect()
}

fn closing(statement: &Statement, balances: &[Micros]) -> Micros {
    balances.last().copied().unwrap_or(statement.opening)
}

fn statement_json(args: &StatementArgs, statement: &Statement, balances: &[Micros]) -> Value {
    let account = &statement.account;
    let entries = statement.entries.iter().zip(balances).map(|(entry, balance)| {
        let mut json = entry_json(entry);
        json["balance"] = json!(balance.to_string());
        json
    });
    let open = account.invoices.iter().map(|invoice| {
        json!({
            "ref": reference::invoice(&account.name, invoice.number),
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
        "opening_balance": statement.opening.to_string(),
        "entries": entries.collect::<Vec<_>>(),
        "closing_balance": closing(statement, balances).to_string(),
        "open_invoices": open.collect::<Vec<_>>(),
        "as_of": account.settled_at.to_string(),
    })
}

fn statement_text(args: &StatementArgs, statement: &Statement, balances: &[Micros]) -> String {
    let account = &statement.account;
    let from = args.from.map_or_else(|| "its opening".to_owned(), |from| from.to_string());
    let to = args.to.map_or_else(|| "now".to_owned(), |to| to.to_string());
    let mut text = format!("Statement of {}, from {from} to {to}, as of {}", account.name, account.settled_at);
    text += &format!("\nOpening balance {}", with_currency(statement.opening, account.currency));
    if !statement.entries.is_empty() {
        text += &format!("\n{}", entries_table(&statement.entries, Some(balances)));
    }
    text += &format!("\nClosing balance {}", with_currency(closing(statement, balances), account.currency));
    if account.invoices.is_empty() { text + "\nNo open invoices." } else { format!("{text}\n{}", open(account)) }
}

fn open(account: &Account) -> String {
    let mut table = table(&["open invoice", "issued at", "state", "total", "to pay"], &[3, 4]);
    for invoice in &account.invoices {
        table.add_row([
            reference::invoice(&account.name, invoice.number).as_str(),
            &invoice.issued_at.to_string(),
            if invoice.overdue { "overdue" } else { "open" },
            &invoice.total.in_minor(account.currency),
            &invoice.to_pay().in_minor(account.currency),
        ]);
    }
    table.to_string()
}
