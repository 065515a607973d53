//! `bursar invoices`.

use clap::{Subcommand, ValueEnum};
use rules::{AccountId, Action};
use serde_json::{Value, json};
use store::{InvoiceRow, InvoiceState, Store};

use crate::cli::act::{act, preview};
use crate::cli::books::{self, Books};
use crate::cli::reference::{self, Reference, Referred};
use crate::cli::rows::{behind, invoice_json, invoice_state, invoices_table, more, written};
use crate::cli::{DONE, Format, LIMIT, LIMIT_MAX};
use crate::input::{BadInput, arguments};
use crate::tables::table;

#[derive(clap::Args)]
pub struct InvoiceArgs {
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    format: Format,
    #[command(subcommand)]
    command: InvoiceCommand,
}

#[derive(Subcommand)]
enum InvoiceCommand {
    /// List invoices by account, page by page
    ///
    /// Examples:
    ///   bursar invoices list --state overdue
    ///   bursar invoices list --account ann --format json
    #[command(verbatim_doc_comment)]
    List(ListArgs),
    /// Show an invoice with its lines
    ///
    /// Example:
    ///   bursar invoices show ann 3
    #[command(verbatim_doc_comment)]
    Show {
        account: String,
        /// The number that its reference ends with: 3 of ann/i3
        #[arg(value_parser = clap::value_parser!(i64).range(0..))]
        number: i64,
    },
    /// Credit an invoice whole: what was paid of it goes to the wallet, what is open is no longer owed
    ///
    /// With --reissue its lines are issued anew, with the buyer's data corrected by --buyer.
    ///
    /// Examples:
    ///   bursar invoices credit ann 3 --reason "billed twice" --preview
    ///   bursar invoices credit ann 3 --reason "new name" --reissue --buyer company="Example AG" --buyer tax_id=CHE-1
    #[command(verbatim_doc_comment)]
    Credit(CreditArgs),
    /// Write off what is open of an invoice: it becomes bad debt, and dunning ends
    ///
    /// Example:
    ///   bursar invoices write-off ann 3 --reason "gone without a trace" --preview
    #[command(verbatim_doc_comment)]
    WriteOff(CorrectArgs),
}

#[derive(clap::Args)]
struct CorrectArgs {
    account: String,
    /// The number that its reference ends with: 3 of ann/i3
    #[arg(value_parser = clap::value_parser!(i64).range(0..))]
    number: i64,
    #[arg(long, value_parser = arguments::text)]
    reason: String,
    /// Only show what it would come to
    #[arg(long)]
    preview: bool,
}

#[derive(clap::Args)]
struct CreditArgs {
    #[command(flatten)]
    of: CorrectArgs,
    /// Issue the same lines anew, in an invoice of now
    #[arg(long)]
    reissue: bool,
    /// What the new invoice says of the buyer: email, name, address, company or tax_id
    #[arg(long, value_name = "KEY=VALUE", requires = "reissue", value_parser = buyer)]
    buyer: Vec<(String, String)>,
}

/// What customers may ask to be corrected (rule 9.6).
const BUYER_KEYS: [&str; 5] = ["email", "name", "address", "company", "tax_id"];

fn buyer(text: &str) -> Result<(String, String), String> {
    let known = || format!("it is one of {} and its value, like company=\"Example AG\"", BUYER_KEYS.join(", "));
    let (key, value) = text.split_once('=').filter(|(key, _)| BUYER_KEYS.contains(key)).ok_or_else(known)?;
    Ok((key.to_owned(), arguments::text(value)?))
}

#[derive(clap::Args)]
struct ListArgs {
    /// Only of this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Only in this state; an overdue one is open as well
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Those behind this one: the next page
    #[arg(long, value_name = "INVOICE")]
    after: Option<Reference>,
    /// How many at most
    #[arg(long, default_value_t = LIMIT, value_parser = clap::value_parser!(u32).range(1..=LIMIT_MAX))]
    limit: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum State {
    Open,
    Overdue,
    Paid,
}

pub async fn run(args: InvoiceArgs) -> anyhow::Result<u8> {
    let books = &args.books;
    let (json, text) = match args.command {
        InvoiceCommand::List(list) => self::list(&books.store().await?, &list).await?,
        InvoiceCommand::Show { account, number } => show(&books.store().await?, &account, number).await?,
        InvoiceCommand::Credit(CreditArgs { of, reissue, buyer }) => {
            let (invoice, author, reason) = (of.number, books::author(), of.reason.clone());
            let reissue = reissue.then(|| buyer.into_iter().collect());
            correct(books, &of, Action::CreditInvoice { invoice, author, reason, reissue }).await?
        }
        InvoiceCommand::WriteOff(of) => {
            let (invoice, author, reason) = (of.number, books::author(), of.reason.clone());
            correct(books, &of, Action::WriteOffInvoice { invoice, author, reason }).await?
        }
    };
    args.format.print(&json, &text)?;
    Ok(DONE)
}

async fn list(store: &Store, args: &ListArgs) -> anyhow::Result<(Value, String)> {
    let of = match &args.account {
        Some(name) => Some(books::account(store, name).await?),
        None => None,
    };
    let state = args.state.map(|state| match state {
        State::Open => InvoiceState::Open,
        State::Overdue => InvoiceState::Overdue,
        State::Paid => InvoiceState::Paid,
    });
    let after = match &args.after {
        None => (AccountId(i64::MIN), 0),
        Some(Reference { account, to: Referred::Invoice(number) }) => (books::account(store, account).await?, *number),
        Some(other) => return Err(BadInput(format!("--after {other}: it is an invoice, like ann/i3")).into()),
    };
    let mut rows = store.invoices_page(of, state, after, args.limit + 1).await?;
    let next = behind(&mut rows, args.limit).map(|last| reference::invoice(&last.account, last.number));
    let json: Vec<Value> = rows.iter().map(invoice_json).collect();
    let text = if rows.is_empty() { "No invoices.".to_owned() } else { invoices_table(&rows) };
    Ok((json!({ "invoices": json, "next": next }), text + &more(next.as_deref())))
}

/// An action on an invoice that is there, or its preview.
async fn correct(books: &Books, args: &CorrectArgs, action: Action) -> anyhow::Result<(Value, String)> {
    let office = if args.preview { books.office().await? } else { books.office_for_changes().await? };
    let id = books::account(&office.store, &args.account).await?;
    found(&office.store, id, &args.account, args.number).await?;
    let brought = if args.preview { preview(&office, id, &action).await? } else { act(&office, id, &action).await? };
    Ok((brought.json(), brought.text()))
}

async fn found(store: &Store, id: AccountId, account: &str, number: i64) -> anyhow::Result<InvoiceRow> {
    let found = store.invoice(id, number).await?;
    let missing =
        format!("account `{account}` has no invoice {number}; see `bursar invoices list --account {account}`");
    Ok(found.ok_or(BadInput(missing))?)
}

async fn show(store: &Store, account: &str, number: i64) -> anyhow::Result<(Value, String)> {
    let id = books::account(store, account).await?;
    let invoice = found(store, id, account, number).await?;
    Ok((whole_json(&invoice), whole_table(&invoice)))
}

fn whole_json(invoice: &InvoiceRow) -> Value {
    let lines = invoice.lines.iter().map(|line| {
        json!({
            "ref": reference::line(&invoice.account, invoice.number, line.position),
            "service": line.service,
            "kind": line.kind.name(),
            "from": line.period.from.to_string(),
            "to": line.period.to.to_string(),
            "amount": line.amount.in_minor(invoice.currency),
        })
    });
    let mut json = invoice_json(invoice);
    json["lines"] = lines.collect();
    json
}

fn whole_table(invoice: &InvoiceRow) -> String {
    let mut table = table(&["line", "service", "what", "from", "to", "amount"], &[5]);
    let currency = invoice.currency;
    for line in &invoice.lines {
        table.add_row([
            reference::line(&invoice.account, invoice.number, line.position).as_str(),
            &line.service,
            line.kind.name(),
            &line.period.from.to_string(),
            &line.period.to.to_string(),
            &line.amount.in_minor(currency),
        ]);
    }
    let state = match written(invoice.paid_at) {
        Some(at) => format!("{} {at}", invoice_state(invoice).replace('_', " ")),
        None => format!("{}, {} of it paid", invoice_state(invoice), invoice.paid.in_minor(currency)),
    };
    let name = reference::invoice(&invoice.account, invoice.number);
    let total = invoice.total.in_minor(currency);
    format!("Invoice {name}, issued {}: {total} {currency}, {state}\n{table}", invoice.issued_at)
}
