//! `bursar explain`: why an amount is what it is, and why something happened or was refused.

mod entry;
mod event;
mod line;
mod refused;
mod shortage;

use rules::{Account, AccountId, Basis, Currency, Micros, PriceBook, Timestamp, explain};
use serde_json::{Value, json};
use store::{LedgerRow, RunId, Scope, Store};

use crate::cli::books::{self, Books};
use crate::cli::printed;
use crate::cli::reference::{self, Reference, Referred};
use crate::cli::{DONE, Format};
use crate::input::BadInput;

#[derive(clap::Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    books: Books,
    /// As tables show it: ann/t12 (an entry), ann/i3/2 or INV-000042/2 (a line of an invoice), ann/e7 (an event),
    /// ann/r3 (what was refused)
    #[arg(value_name = "REFERENCE")]
    reference: String,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// A reference, or the line of an invoice by its printed number.
async fn referred(store: &Store, text: &str) -> anyhow::Result<(AccountId, Reference)> {
    if let Some((invoice, position)) = text.split_once('/')
        && text.parse::<Reference>().is_err()
        && let Ok(position) = position.parse()
        && let (id, Reference { account, to: Referred::Invoice(invoice) }) = printed::find(store, invoice).await?
    {
        return Ok((id, Reference { account, to: Referred::Line { invoice, position } }));
    }
    let reference: Reference = text.parse().map_err(|problem| BadInput(format!("reference `{text}`: {problem}")))?;
    Ok((books::account(store, &reference.account).await?, reference))
}

/// What is known of the why.
struct Explained {
    /// In a sentence.
    why: String,
    amount: Option<(Micros, Currency)>,
    /// What the amount was computed from.
    basis: Option<Basis>,
    effective_at: Timestamp,
    recorded_at: Timestamp,
    run: Option<RunId>,
    /// References of what it follows from, or brought about.
    related: Vec<String>,
}

/// Whose books are asked.
struct Asked<'a> {
    store: &'a Store,
    book: &'a PriceBook,
    id: AccountId,
    account: &'a str,
    /// Who asks is not told who decided what, nor why.
    is_customer: bool,
}

pub async fn run(args: ExplainArgs) -> anyhow::Result<u8> {
    let store = args.books.store().await?;
    let (id, reference) = referred(&store, &args.reference).await?;
    let Some((json, text)) = told(&store, id, &reference, false).await? else {
        let account = &reference.account;
        return Err(BadInput(format!("{reference}: there is none; see `bursar statement {account}`")).into());
    };
    args.format.print(&json, &text)?;
    Ok(DONE)
}

/// Why, in JSON; to a customer without who decided it and in which run.
pub async fn explained(
    store: &Store,
    id: AccountId,
    reference: &Reference,
    is_customer: bool,
) -> anyhow::Result<Option<Value>> {
    let Some((mut json, _)) = told(store, id, reference, is_customer).await? else { return Ok(None) };
    if let Some(shown) = json.as_object_mut().filter(|_| is_customer) {
        shown.retain(|key, _| key != "run" && key != "run_of");
    }
    Ok(Some(json))
}

async fn told(
    store: &Store,
    id: AccountId,
    reference: &Reference,
    is_customer: bool,
) -> anyhow::Result<Option<(Value, String)>> {
    let Reference { account, to } = reference;
    let book = store.price_book().await?;
    let asked = Asked { store, book: &book, id, account, is_customer };
    let found = match *to {
        Referred::Entry(number) => asked.entry(number).await?,
        Referred::Event(number) => asked.event(number).await?,
        Referred::Refusal(number) => asked.refused(number).await?,
        Referred::Line { invoice, position } => asked.line(invoice, position).await?,
        Referred::Invoice(number) => {
            let ways = format!("name one of its lines, as `bursar invoices show {account} {number}` lists them");
            return Err(BadInput(format!("{}: it is a whole invoice: {ways}", reference)).into());
        }
    };
    let Some(found) = found else { return Ok(None) };
    let formula = found.formula(&book);
    let run = match found.run {
        Some(run) => Some((run, asked.run(run).await?)),
        None => None,
    };
    let json = found.json(reference, formula.as_deref(), run.as_ref());
    Ok(Some((json, found.text(reference, formula.as_deref(), run.as_ref()))))
}

impl Asked<'_> {
    /// The account with its unfinished services, and those of these names.
    async fn account_with(&self, services: &[&str]) -> anyhow::Result<Account> {
        let account = self.store.accounts_load(&[self.id], Scope::With(services)).await?.pop();
        Ok(account.ok_or_else(|| anyhow::anyhow!("account `{}` is gone", self.account))??)
    }

    fn entry_reference(&self, row: &LedgerRow) -> String {
        reference::entry(self.account, row.number)
    }

    fn invoice_reference(&self, number: i64) -> String {
        reference::invoice(self.account, number)
    }

    /// As in `bill_instances of 2026-11-22T00:00:00Z`, as long as its record is kept.
    async fn run(&self, id: RunId) -> anyhow::Result<Option<String>> {
        let run = self.store.run(id).await?;
        Ok(run.map(|run| match run.slot {
            Some(slot) => format!("{} of {slot}", run.job),
            None => format!("{}, opened {}", run.job, run.opened_at),
        }))
    }
}

type NamedRun = (RunId, Option<String>);

impl Explained {
    fn formula(&self, book: &PriceBook) -> Option<String> {
        let ((amount, currency), basis) = (self.amount?, self.basis.as_ref()?);
        Some(explain(basis, amount, currency, book))
    }

    /// Since when the version of the price list is in force: none for the first one.
    fn price_list(&self) -> Option<Option<Timestamp>> {
        Some(self.basis.as_ref()?.priced()?.list)
    }

    fn json(&self, reference: &Reference, formula: Option<&str>, run: Option<&NamedRun>) -> Value {
        let list = self.price_list().map(|list| list.map_or_else(|| "first".to_owned(), |since| since.to_string()));
        json!({
            "ref": reference.to_string(),
            "why": self.why,
            "amount": self.amount.map(|(amount, _)| amount.to_string()),
            "currency": self.amount.map(|(_, currency)| currency.code()),
            "formula": formula,
            "inputs": self.basis,
            "price_list": list,
            "effective_at": self.effective_at.to_string(),
            "recorded_at": self.recorded_at.to_string(),
            "run": run.map(|(run, _)| run.0),
            "run_of": run.and_then(|(_, of)| of.as_ref()),
            "related": self.related,
        })
    }

    fn text(&self, reference: &Reference, formula: Option<&str>, run: Option<&NamedRun>) -> String {
        let mut text = format!("{reference}: {}", self.why);
        if let Some(formula) = formula {
            text += &format!("\n  {formula}");
        }
        match self.price_list() {
            Some(Some(since)) => text += &format!("\n  Priced by the list in force since {since}."),
            Some(None) => text += "\n  Priced by the first list.",
            None => {}
        }
        let by = match run {
            Some((run, Some(of))) => format!(" by run {} ({of})", run.0),
            Some((run, None)) => format!(" by run {}", run.0),
            None => String::new(),
        };
        text += &format!("\n  In effect at {}, recorded at {}{by}.", self.effective_at, self.recorded_at);
        if !self.related.is_empty() {
            text += &format!("\n  See also {}.", self.related.join(", "));
        }
        text
    }
}
