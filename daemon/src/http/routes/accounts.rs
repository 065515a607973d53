//! Accounts and their wallets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use jobs::{Deposit as NewDeposit, Paid};
use rules::{Account, AccountId, Action, Changes, NewAccount, Rest, SuspendReason};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{KeyScope, ReceiptRow, StoreError, Told};
use utoipa::{IntoParams, ToSchema};

use crate::cli::act;
use crate::cli::deposit::{Deposited, PROVIDER, register};
use crate::cli::details;
use crate::cli::rows::{self, behind};
use crate::http::access::Access;
use crate::http::operation::{Asked, Call, Handled, Nothing, Operation, get, post};
use crate::http::problem::Problem;
use crate::http::routes::acting;
use crate::http::routes::finding::limit;
use crate::http::words::{Amount, Code, Line, Name, SignedAmount};
use crate::input::choices::AccountState;
use crate::input::{BadInput, customer};
use crate::view::{AccountSummary, AccountView, ChangeView, DepositView};

pub fn operations() -> Vec<Operation> {
    use Access::{Acts, Administers, Looks, Serves, Surveys};
    const OK: StatusCode = StatusCode::OK;
    const CREATED: StatusCode = StatusCode::CREATED;
    vec![
        get(("listAccounts", "/v1/accounts", Surveys, "List accounts by name, page by page"), list),
        post(("openAccount", "/v1/accounts", Serves, "Open an account"), CREATED, open),
        get(("showAccount", "/v1/accounts/{account}", Looks, "Show an account and its wallet"), show),
        get(("showDetails", "/v1/accounts/{account}/details", Looks, "Show what is known of the customer"), details),
        post(
            ("changeDetails", "/v1/accounts/{account}/details", Acts, "Correct what is known of the customer"),
            OK,
            correct,
        ),
        post(
            (
                "deposit",
                "/v1/accounts/{account}/deposits",
                Administers,
                "Register money that came, once for each reference",
            ),
            CREATED,
            pay,
        ),
        post(
            ("adjust", "/v1/accounts/{account}/adjustments", Administers, "Charge the wallet by hand, or give a bonus"),
            CREATED,
            adjust,
        ),
        post(
            (
                "suspendAccount",
                "/v1/accounts/{account}/suspend",
                Administers,
                "Suspend an account and stop what it has running",
            ),
            OK,
            suspend,
        ),
        post(
            ("restoreAccount", "/v1/accounts/{account}/restore", Administers, "Restore a suspended account"),
            OK,
            restore,
        ),
        post(
            ("closeAccount", "/v1/accounts/{account}/close", Acts, "Close an account that has nothing left"),
            OK,
            close,
        ),
    ]
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only in this state
    #[param(inline)]
    state: Option<AccountState>,
    /// Go on behind this: the `next` of the page before
    #[param(inline)]
    after: Option<Name>,
    /// How many at most, 1 to 1000; 50 if not given
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct AccountPage {
    accounts: Vec<AccountSummary>,
    /// What the next page is behind; null at the end
    next: Option<String>,
    as_of: String,
}

async fn list(call: Call<ListQuery>) -> Handled<AccountPage> {
    let most = limit(call.input.limit.as_deref())?;
    let state = call.input.state.map(AccountState::name);
    let after = call.input.after.as_ref().map_or("", |name| name.0.as_str());
    let mut rows = call.face.office.store.accounts_page(state, after, most + 1).await?;
    let next = behind(&mut rows, most).map(|row| row.name.clone());
    let accounts = rows.iter().map(|row| call.account_summary(row.id, AccountSummary::of(row))).collect();
    Ok(AccountPage { accounts, next, as_of: call.now.to_string() })
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OpenAccount {
    name: Name,
    /// The host's own, if not given
    currency: Option<Code>,
    /// With a trial from today on
    #[serde(default)]
    trial: bool,
    /// A deposit resumes what was stopped for want of money
    #[serde(default)]
    resume_on_deposit: bool,
}

async fn open(call: Call<OpenAccount>) -> Handled<AccountView> {
    let OpenAccount { name, currency, trial, resume_on_deposit } = &call.input;
    let (trial, resume_on_deposit) = (*trial, *resume_on_deposit);
    let name = call.new_name("name", name)?;
    let office = &call.face.office;
    if !call.once.was_done() {
        office.reload_if_moved().await?;
        let noting = call.once.office(&call, format!("account {name}"), None, None);
        let after = json!({ "name": name, "trial": trial, "currency": currency.as_ref().map(|code| code.0.code()) });
        call.once.tell(Told { after: Some(after.to_string()), ..Told::default() });
        let currency = currency.as_ref().map(|code| code.0);
        let new = NewAccount { name: name.clone(), currency, trial, resume_on_deposit, card: None };
        noting.open_account(new, call.trusted_now()?).await?;
    }
    let (id, _) = call.account_called(&name).await?;
    Ok(call.account_view(id, AccountView::of(&act::load(office, id, None).await?)))
}

async fn show(call: Call<Nothing>) -> Handled<AccountView> {
    let (id, _) = call.account().await?;
    Ok(call.account_view(id, AccountView::of(&act::load(&call.face.office, id, None).await?)))
}

/// What is known of a customer; null where nothing is.
#[derive(Serialize, ToSchema)]
struct DetailsView {
    account: String,
    #[schema(example = json!({ "email": "billing@ann.example", "name": null }))]
    details: BTreeMap<String, Option<String>>,
    as_of: String,
}

async fn details(call: Call<Nothing>) -> Handled<DetailsView> {
    let (id, account) = call.account().await?;
    let known = call.face.office.store.account_details(id).await?;
    let shown = store::DETAILS.iter().filter(|column| !call.caller.is_customer() || !is_internal(column));
    let details = shown.map(|column| (details::label(column).to_owned(), known.get(column).cloned())).collect();
    Ok(DetailsView { account, details, as_of: call.now.to_string() })
}

/// What payment providers call a customer.
fn is_internal(column: &str) -> bool {
    ["provider", "provider_customer", "payment_method"].contains(&column)
}

/// What is given is so from now on; an empty text takes a detail away, and what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeDetails {
    email: Option<String>,
    /// The person's
    name: Option<String>,
    company: Option<String>,
    address: Option<String>,
    tax_id: Option<String>,
    /// A tag like de or pt-BR
    language: Option<String>,
}

async fn correct(call: Call<ChangeDetails>) -> Handled<DetailsView> {
    let (id, account) = call.account().await?;
    let given = &call.input;
    let mut changes = BTreeMap::new();
    for (column, text) in [
        ("email", &given.email),
        ("person", &given.name),
        ("company", &given.company),
        ("address", &given.address),
        ("tax_id", &given.tax_id),
        ("language", &given.language),
    ] {
        let Some(text) = text else { continue };
        if text.is_empty() {
            changes.insert(column, None);
        } else if let Some(why) = customer::refusal(column, text) {
            return Err(Problem::bad_field(details::label(column), why));
        } else {
            changes.insert(column, Some(text.clone()));
        }
    }
    if changes.is_empty() {
        let why = "give at least one of email, name, company, address, tax_id and language";
        return Err(Problem::bad_field("email", why));
    }
    if !call.once.was_done() {
        // Who the customer is belongs into one place, which can be erased: the log says what was changed, not to what.
        let columns: Vec<&str> = changes.keys().copied().collect();
        // No answer is kept either: sent again it changes nothing.
        let note = call.once.alone(&call, format!("account {account}"), Some(id));
        note.tell(Told { after: Some(json!({ "changed": columns }).to_string()), ..Told::default() });
        call.face.office.store.noting(note).account_details_change(id, &changes).await?;
    }
    let Call { asked, once, .. } = call;
    details(Call { asked, input: Nothing {}, once }).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Deposit {
    amount: Amount,
    /// What tells this payment from every other one: given twice, it is booked once
    reference: Line,
}

async fn pay(call: Call<Deposit>) -> Handled<DepositView> {
    let (id, name) = call.account().await?;
    call.trusted_now()?;
    let Deposit { amount: Amount(amount), reference: Line(reference) } = &call.input;
    let noting = call.once.office(&call, format!("account {name} deposit {reference}"), Some(id), None);
    let told = json!({ "amount": amount.to_string(), "reference": reference });
    // The answer is written with the booking, and needs nothing more to be read.
    let seen = Arc::new(Mutex::new(None));
    let tells = {
        let (asked, seen) = (call.asked.clone(), seen.clone());
        move |deposited: Option<Deposited>| {
            let Some(deposited) = deposited else { return Told::default() };
            let view = deposit_view(&asked, id, &deposited);
            let answer = Some((StatusCode::CREATED.as_u16(), rows::json(&view).to_string()));
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(view);
            Told { answer, ..Told::default() }
        }
    };
    let (now, seen) = (call.now, || seen.lock().unwrap_or_else(PoisonError::into_inner).take());
    if let Some(note) = call.once.note() {
        let (tells, told) = (tells.clone(), told.clone());
        let tells = Box::new(move |before: &Account, changes: &Changes, kept: ReceiptRow| {
            let now = kept.received_at;
            Told {
                before: Some(act::state(before, None)),
                after: Some(with_state(&told, &changes.account)),
                ..tells(Some(Deposited::of(kept, changes, now)))
            }
        });
        let (payment, amount) = (reference.clone(), *amount);
        let deposit = NewDeposit { account: id, provider: PROVIDER, payment, amount, note, tells };
        match (noting.deposit(deposit).await, seen()) {
            (Paid::Booked, Some(view)) => return Ok(view),
            // If it stands, its answer stands with it.
            (Paid::Unknown, _) if call.is_done().await? => return Err(StoreError::DoneBefore.into()),
            _ => call.trusted_now()?,
        };
    }
    let after = Some(told.to_string());
    call.once.tell(Told { after: after.clone(), ..Told::default() });
    let registered = register(&noting, id, *amount, reference, &call.caller.actor()).await;
    let registered = registered.map_err(refused_deposit)?;
    // Kept by an earlier try of this very request, it is no other's.
    let registered = Arc::new(if call.once.was_done() { registered.as_new() } else { registered });
    noting.store.tell_note_by({
        let registered = registered.clone();
        move |changes| Told { after: after.clone(), ..tells(registered.booked_by(changes, now)) }
    });
    registered.book(&noting).await?;
    match seen().filter(|_| call.once.is_answered()) {
        Some(view) => Ok(view),
        None => Ok(deposit_view(&call, id, &registered.read(&noting).await?)),
    }
}

/// What came, and how the account stands with it.
fn with_state(told: &Value, account: &Account) -> String {
    let state: Option<Map<String, Value>> = serde_json::from_str(&act::state(account, None)).ok();
    let told = told.as_object().cloned().into_iter().flatten();
    Value::from(state.into_iter().flatten().chain(told).collect::<Map<_, _>>()).to_string()
}

fn deposit_view(asked: &Asked, id: AccountId, deposited: &Deposited) -> DepositView {
    let view = deposited.view();
    DepositView { change: asked.change_view(id, None, view.change), ..view }
}

fn refused_deposit(error: anyhow::Error) -> Problem {
    match error.downcast_ref::<BadInput>() {
        Some(bad) if bad.field() == Some("reference") => {
            let detail = "this reference stands for another payment: give each payment one of its own";
            Problem::refused("reference_taken", detail).of_field("reference")
        }
        Some(bad) => Problem::bad_field("amount", bad.to_string()),
        None => error.into(),
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Adjust {
    /// Below zero a charge, which the wallet must cover; above zero a bonus, which never leaves as cash
    amount: SignedAmount,
    reason: Line,
    /// Only say what it would come to
    #[serde(default)]
    preview: bool,
}

async fn adjust(call: Call<Adjust>) -> Handled<ChangeView> {
    let (id, _) = call.account().await?;
    let Adjust { amount: SignedAmount(amount), reason: Line(reason), preview } = &call.input;
    let action = Action::Adjust { amount: *amount, author: call.caller.actor(), reason: reason.clone() };
    acting::act(&call, id, action, *preview, StatusCode::CREATED).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Suspend {
    #[serde(default)]
    reason: Reason,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Reason {
    #[default]
    Admin,
    Fraud,
}

async fn suspend(call: Call<Suspend>) -> Handled<ChangeView> {
    let (id, _) = call.account().await?;
    let reason = match call.input.reason {
        Reason::Admin => SuspendReason::Admin,
        Reason::Fraud => SuspendReason::Fraud,
    };
    acting::act(&call, id, Action::SuspendAccount { reason }, false, StatusCode::OK).await
}

async fn restore(call: Call<Nothing>) -> Handled<ChangeView> {
    let (id, _) = call.account().await?;
    acting::act(&call, id, Action::RestoreAccount, false, StatusCode::OK).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Close {
    /// What becomes of the wallet's rest
    rest: Option<RestOfWallet>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RestOfWallet {
    Refund,
    Waive,
}

async fn close(call: Call<Close>) -> Handled<ChangeView> {
    let (id, _) = call.account().await?;
    if matches!(call.input.rest, Some(RestOfWallet::Refund)) && call.caller.key.scope != KeyScope::Admin {
        let detail =
            "a refund is an admin's to approve (rule 3.4): waive the rest, or ask an admin to close the account";
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail).of_field("rest"));
    }
    let rest = call.input.rest.map(|rest| match rest {
        RestOfWallet::Refund => Rest::Refund,
        RestOfWallet::Waive => Rest::Waive,
    });
    acting::act(&call, id, Action::CloseAccount { rest }, false, StatusCode::OK).await
}
