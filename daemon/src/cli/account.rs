//! `bursar accounts`.

use clap::{Subcommand, ValueEnum};
use rules::{Action, Currency, Micros, NewAccount, Rest, SuspendReason};
use serde_json::{Value, json};
use store::{ServiceFilter, Store};

use crate::cli::act::{act_or_preview, load};
use crate::cli::author::author;
use crate::cli::books::{self, Books, NotNow};
use crate::cli::deposit::deposit;
use crate::cli::details;
use crate::cli::rows::{
    self, account_json, account_line, account_row_json, accounts_table, behind, more, refusal_json, refusal_line,
    service_json, services_table, written,
};
use crate::cli::{DONE, Format, LIMIT, LIMIT_MAX};
use crate::input::arguments;
use crate::input::choices::AccountState;

/// What was refused last, of an account that is shown.
const REFUSALS: u32 = 5;

#[derive(clap::Args)]
pub struct AccountArgs {
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    format: Format,
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Subcommand)]
enum AccountCommand {
    /// Open an account
    ///
    /// Examples:
    ///   bursar accounts open ann
    ///   bursar accounts open bob --currency EUR --trial
    #[command(verbatim_doc_comment)]
    Open(OpenArgs),
    /// Show an account and what it has
    ///
    /// Example:
    ///   bursar accounts show ann
    #[command(verbatim_doc_comment)]
    Show { name: String },
    /// List accounts by name, page by page
    ///
    /// Examples:
    ///   bursar accounts list --state suspended
    ///   bursar accounts list --after ann --limit 500 --format json
    #[command(verbatim_doc_comment)]
    List(ListArgs),
    /// Register money that came, like cash or a bank transfer
    ///
    /// The reference stands for this one payment: given twice, it is booked once. No minimum applies to what
    /// came all the same (rule 3.2).
    ///
    /// Example:
    ///   bursar accounts deposit ann 50.00 --reference bank-2026-11-0042
    #[command(verbatim_doc_comment)]
    Deposit {
        name: String,
        #[arg(value_parser = arguments::positive_amount)]
        amount: Micros,
        /// What tells this payment from every other one
        #[arg(long, value_parser = arguments::text)]
        reference: String,
    },
    /// Charge the wallet by hand, or give a bonus
    ///
    /// An amount below zero is a charge, which the wallet must cover; one above zero a bonus, which never leaves
    /// as cash. Both are entries with who did it and why.
    ///
    /// Examples:
    ///   bursar accounts adjust ann -5.00 --reason "reinstalled by hand"
    ///   bursar accounts adjust ann 2.50 --reason "for the outage of Monday"
    #[command(verbatim_doc_comment)]
    Adjust {
        name: String,
        #[arg(value_parser = arguments::signed_amount, allow_negative_numbers = true)]
        amount: Micros,
        #[arg(long, value_parser = arguments::text)]
        reason: String,
    },
    /// Correct who the customer is: what invoices to come say of their buyer (rule 9.6)
    ///
    /// An empty text takes a detail away. Invoices that were issued keep what they say; `bursar invoices credit
    /// --reissue` issues one anew.
    ///
    /// Examples:
    ///   bursar accounts details ann --company "Ann AG" --tax-id CHE-123.456.789
    ///   bursar accounts details ann --email billing@ann.example --language de --address ""
    #[command(verbatim_doc_comment)]
    Details(details::DetailsArgs),
    /// Suspend an account and stop what it has running
    ///
    /// Example:
    ///   bursar accounts suspend ann --reason fraud
    #[command(verbatim_doc_comment)]
    Suspend {
        name: String,
        #[arg(long, value_enum, default_value_t = Reason::Admin)]
        reason: Reason,
    },
    /// Restore a suspended account, and what of its services that costs nothing
    ///
    /// Example:
    ///   bursar accounts restore ann
    #[command(verbatim_doc_comment)]
    Restore { name: String },
    /// Close an account that has nothing left
    ///
    /// Example:
    ///   bursar accounts close ann --rest refund
    #[command(verbatim_doc_comment)]
    Close {
        name: String,
        /// What becomes of the wallet's rest; a refund is what came from outside, in whole minor units
        #[arg(long, value_enum)]
        rest: Option<RestOfWallet>,
    },
    /// Not possible yet: no card can be saved until payment providers arrive
    Card {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        _rest: Vec<String>,
    },
}

#[derive(clap::Args)]
struct OpenArgs {
    #[arg(value_parser = arguments::name)]
    name: String,
    /// As ISO 4217 writes it; the configuration's, if not given
    #[arg(long, value_parser = arguments::currency)]
    currency: Option<Currency>,
    /// With a trial from today on
    #[arg(long)]
    trial: bool,
    /// A deposit resumes what was stopped for want of money
    #[arg(long)]
    resume_on_deposit: bool,
}

#[derive(clap::Args)]
struct ListArgs {
    /// Only in this state
    #[arg(long, value_enum)]
    state: Option<AccountState>,
    /// Those behind this name: the next page
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    after: String,
    /// How many at most
    #[arg(long, default_value_t = LIMIT, value_parser = clap::value_parser!(u32).range(1..=LIMIT_MAX))]
    limit: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Reason {
    Admin,
    Fraud,
}

#[derive(Clone, Copy, ValueEnum)]
enum RestOfWallet {
    Refund,
    Waive,
}

pub async fn run(args: AccountArgs) -> anyhow::Result<u8> {
    let books = &args.books;
    let (json, text) = match args.command {
        AccountCommand::Open(new) => open(books, new).await?,
        AccountCommand::Show { name } => show(books, &name).await?,
        AccountCommand::List(args) => list(&books.store().await?, &args).await?,
        AccountCommand::Deposit { name, amount, reference } => {
            let office = books.office_for_changes().await?;
            let id = books::account(&office.store, &name).await?;
            let deposited = deposit(&office, id, amount, &reference, &author()).await?;
            (rows::json(&deposited.view()), deposited.text())
        }
        AccountCommand::Details(args) => details::change(books, args).await?,
        AccountCommand::Adjust { name, amount, reason } => {
            change(books, &name, Action::Adjust { amount, author: author(), reason }).await?
        }
        AccountCommand::Suspend { name, reason } => {
            let reason = match reason {
                Reason::Admin => SuspendReason::Admin,
                Reason::Fraud => SuspendReason::Fraud,
            };
            change(books, &name, Action::SuspendAccount { reason }).await?
        }
        AccountCommand::Restore { name } => change(books, &name, Action::RestoreAccount).await?,
        AccountCommand::Close { name, rest } => {
            let rest = rest.map(|rest| match rest {
                RestOfWallet::Refund => Rest::Refund,
                RestOfWallet::Waive => Rest::Waive,
            });
            change(books, &name, Action::CloseAccount { rest }).await?
        }
        AccountCommand::Card { .. } => {
            let why = "no card can be saved until payment providers arrive; `bursar accounts deposit` registers money";
            return Err(NotNow(why.to_owned()).into());
        }
    };
    args.format.print(&json, &text)?;
    Ok(DONE)
}

async fn change(books: &Books, name: &str, action: Action) -> anyhow::Result<(Value, String)> {
    act_or_preview(books, false, &action, async |store| books::account(store, name).await).await
}

async fn open(books: &Books, args: OpenArgs) -> anyhow::Result<(Value, String)> {
    let OpenArgs { name, currency, trial, resume_on_deposit } = args;
    let office = books.office_for_changes().await?;
    let new = NewAccount { name, currency, trial, resume_on_deposit, card: None };
    let id = office.open_account(new, office.clock.now()).await?;
    let account = load(&office, id, None).await?;
    let trial = written(account.trial.as_ref().map(|trial| trial.ends_at));
    let trial = trial.map_or_else(String::new, |ends| format!("\nIts trial ends at {ends}."));
    Ok((json!({ "account": account_json(&account) }), account_line(&account) + &trial))
}

async fn show(books: &Books, name: &str) -> anyhow::Result<(Value, String)> {
    let office = books.office().await?;
    let store = &office.store;
    let id = books::account(store, name).await?;
    let account = load(&office, id, None).await?;
    let filter = ServiceFilter { account: Some(id), ..ServiceFilter::default() };
    let mut services = store.services_page(&filter, "", LIMIT + 1).await?;
    let cut = behind(&mut services, LIMIT).is_some();
    let known = store.account_details(id).await?;
    let parked = store.parked().await?.into_iter().find(|parked| parked.account == id);
    let mut json = json!({ "account": account_json(&account) });
    json["details"] = details::json(&known);
    let refused = store.refusals(id, REFUSALS).await?;
    json["refusals"] = refused.iter().map(refusal_json).collect();
    json["services"] = services.iter().map(service_json).collect();
    json["more_services"] = json!(cut);
    json["parked"] = json!(parked.as_ref().map(|parked| &parked.error));
    let mut text = account_line(&account);
    if let Some(trial) = &account.trial {
        text += &format!("\nIts trial {} at {}.", if trial.ended { "ended" } else { "ends" }, trial.ends_at);
    }
    text += &details::text(&known);
    if let Some(parked) = parked {
        text += &format!("\nIt cannot be settled, and is tried again at {}: {}", parked.next_try_at, parked.error);
    }
    if !services.is_empty() {
        text += &format!("\n{}", services_table(&services));
    }
    for row in &refused {
        text += &format!("\n{}", refusal_line(row));
    }
    if cut {
        text += &format!("\nThere is more: `bursar services list --account {name}`");
    }
    Ok((json, text))
}

async fn list(store: &Store, args: &ListArgs) -> anyhow::Result<(Value, String)> {
    let state = args.state.map(AccountState::name);
    let mut rows = store.accounts_page(state, &args.after, args.limit + 1).await?;
    let next = behind(&mut rows, args.limit).map(|last| last.name.clone());
    let json: Vec<Value> = rows.iter().map(account_row_json).collect();
    let text = if rows.is_empty() { "No accounts.".to_owned() } else { accounts_table(&rows) };
    Ok((json!({ "accounts": json, "next": next }), text + &more(next.as_deref())))
}
