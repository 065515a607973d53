//! `bursar invoices`.

use clap::Subcommand;
use rules::{AccountId, Action, Buyer, DocumentPolicy, InvoiceNumber};
use serde_json::{Value, json};
use store::{InvoiceRow, Store};

use crate::cli::act::act_or_preview;
use crate::cli::author::author;
use crate::cli::books::{self, Books};
use crate::cli::printed;
use crate::cli::reference::{self, Reference, Referred};
use crate::cli::rows::{self, behind, invoice_json, invoice_state, invoices_table, more, written};
use crate::cli::{DONE, Format, LIMIT, LIMIT_MAX};
use crate::input::choices::InvoiceState;
use crate::input::{BadInput, arguments};
use crate::tables::{or_dash, table};
use crate::view::LineView;

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
    /// Examples:
    ///   bursar invoices show ann/i3
    ///   bursar invoices show INV-000042
    #[command(verbatim_doc_comment)]
    Show(Which),
    /// Credit an invoice whole: what was paid of it goes to the wallet, what is open is no longer owed
    ///
    /// With --reissue its lines are issued anew, with the account's details and what --buyer corrects of them, which
    /// is so for invoices to come as well. The credited one stays as it is.
    ///
    /// Examples:
    ///   bursar invoices credit INV-000042 --reason "billed twice" --preview
    ///   bursar invoices credit ann/i3 --reason "new name" --reissue --buyer company="Example AG" --buyer tax_id=CHE-1
    #[command(verbatim_doc_comment)]
    Credit(CreditArgs),
    /// Write off what is open of an invoice: it becomes bad debt, and dunning ends
    ///
    /// Example:
    ///   bursar invoices write-off ann/i3 --reason "gone without a trace" --preview
    #[command(verbatim_doc_comment)]
    WriteOff(CorrectArgs),
}

#[derive(clap::Args)]
struct Which {
    /// Its reference or printed number, like ann/i3 or INV-000042; or its account, in front of its number there
    invoice: String,
    /// The number that its reference ends with: 3 of ann/i3
    #[arg(value_parser = clap::value_parser!(i64).range(0..))]
    number: Option<i64>,
}

impl Which {
    async fn find(&self, store: &Store) -> anyhow::Result<(AccountId, InvoiceRow)> {
        let (id, account, number) = match self.number {
            Some(number) => (books::account(store, &self.invoice).await?, self.invoice.clone(), number),
            None => match printed::find(store, &self.invoice).await? {
                (id, Reference { account, to: Referred::Invoice(number) }) => (id, account, number),
                (_, other) => return Err(BadInput(format!("invoice `{other}`: it is no invoice, like ann/i3")).into()),
            },
        };
        let list = format!("bursar invoices list --account {account}");
        let missing = format!("invoice `{number}`: account `{account}` has no invoice {number}; see `{list}`");
        let found = store.invoice(id, number).await?;
        Ok((id, found.ok_or(BadInput(missing))?))
    }
}

#[derive(clap::Args)]
struct CorrectArgs {
    #[command(flatten)]
    which: Which,
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
    state: Option<InvoiceState>,
    /// Those behind this one: the next page
    #[arg(long, value_name = "INVOICE")]
    after: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = LIMIT, value_parser = clap::value_parser!(u32).range(1..=LIMIT_MAX))]
    limit: u32,
}

pub async fn run(args: InvoiceArgs) -> anyhow::Result<u8> {
    let books = &args.books;
    let (json, text) = match args.command {
        InvoiceCommand::List(list) => self::list(books, &list).await?,
        InvoiceCommand::Show(which) => show(books, &which).await?,
        InvoiceCommand::Credit(CreditArgs { of, reissue, buyer }) => {
            let reissue: Option<Buyer> = reissue.then(|| buyer.into_iter().collect());
            let action = |invoice, author, reason| Action::CreditInvoice { invoice, author, reason, reissue };
            correct(books, &of, action).await?
        }
        InvoiceCommand::WriteOff(of) => {
            let action = |invoice, author, reason| Action::WriteOffInvoice { invoice, author, reason };
            correct(books, &of, action).await?
        }
    };
    args.format.print(&json, &text)?;
    Ok(DONE)
}

async fn list(books: &Books, args: &ListArgs) -> anyhow::Result<(Value, String)> {
    let store = &books.store().await?;
    let documents = books.policy(store).await?.documents;
    let of = match &args.account {
        Some(name) => Some(books::account(store, name).await?),
        None => None,
    };
    let after = match &args.after {
        None => (AccountId(i64::MIN), 0),
        Some(text) => match printed::find(store, text).await? {
            (id, Reference { to: Referred::Invoice(number), .. }) => (id, number),
            (_, other) => return Err(BadInput(format!("--after {other}: it is an invoice, like ann/i3")).into()),
        },
    };
    let mut rows = store.invoices_page(of, args.state.map(Into::into), after, args.limit + 1).await?;
    let next = behind(&mut rows, args.limit).map(|last| reference::invoice(&last.account, last.number));
    let json: Vec<Value> = rows.iter().map(|row| invoice_json(row, &documents)).collect();
    let text = if rows.is_empty() { "No invoices.".to_owned() } else { invoices_table(&rows, &documents) };
    Ok((json!({ "invoices": json, "next": next }), text + &more(next.as_deref())))
}

/// An action on an invoice that is there, or its preview.
async fn correct(
    books: &Books,
    args: &CorrectArgs,
    action: impl FnOnce(InvoiceNumber, String, String) -> Action,
) -> anyhow::Result<(Value, String)> {
    let (id, invoice) = args.which.find(&books.store().await?).await?;
    let action = action(invoice.number, author(), args.reason.clone());
    let (mut json, mut text) = act_or_preview(books, args.preview, &action, async |_| Ok(id)).await?;
    json["printed_total"] = invoice.printed_total.map(|total| total.in_minor(invoice.currency)).into();
    if let Some(came) = printed::elsewhere(&invoice) {
        text = format!("{came}\n{text}");
    }
    Ok((json, text))
}

async fn show(books: &Books, which: &Which) -> anyhow::Result<(Value, String)> {
    let store = &books.store().await?;
    let (_, invoice) = which.find(store).await?;
    let documents = books.policy(store).await?.documents;
    Ok((whole_json(&invoice, &documents), whole_table(&invoice, &documents)))
}

fn whole_json(invoice: &InvoiceRow, documents: &DocumentPolicy) -> Value {
    let lines = invoice.lines.iter().map(|line| rows::json(&LineView::of(invoice, line)));
    let mut json = invoice_json(invoice, documents);
    json["lines"] = lines.collect();
    json
}

fn whole_table(invoice: &InvoiceRow, documents: &DocumentPolicy) -> String {
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
    let reference = reference::invoice(&invoice.account, invoice.number);
    let name = match printed::number(invoice, documents) {
        Some(number) => format!("{number} ({reference})"),
        None => format!("{reference}, which has no printed number yet"),
    };
    let total = invoice.total.in_minor(currency);
    let mut text = format!("Invoice {name}, issued {}: {total} {currency}, {state}", invoice.issued_at);
    if let Some(came) = printed::elsewhere(invoice) {
        text += &format!("\n{came}");
    }
    if invoice.credited_at.is_some() {
        let note = printed::credit_note(invoice, documents);
        text += &format!("\nCredit note {}", or_dash(note.as_deref()));
    }
    if let Some(of) = invoice.reissues {
        text += &format!("\nIn the place of {}", reference::invoice(&invoice.account, of));
    }
    for (key, value) in &invoice.buyer {
        text += &format!("\n{key}: {value}");
    }
    format!("{text}\n{table}")
}
