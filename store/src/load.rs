//! Loading a batch of accounts for a decision, in a number of statements that does not grow with it.

use std::collections::HashMap;

use rules::{Account, AccountId, Action, Intent, Invoice, Past, Receipt, Sequences, Standing, Trial, Tries};

use crate::cells::{Cells, Problem, required};
use crate::sql::{self, Builder, Row, Transaction};
use crate::{Result, Store, StoreError, past, service_row};

/// Which services come with an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope<'a> {
    /// All that can still move by the passing of time: enough to settle.
    Unfinished,
    /// Those, and finished ones of these names: enough for an action on them.
    With(&'a [&'a str]),
    /// All that can still move, and what the action is about: also what it takes back.
    For(&'a Action),
    All,
}

/// An account whose rows cannot be read; the rest of its batch can.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("account {} cannot be read: {problem}", id.0)]
pub struct CorruptAccount {
    pub id: AccountId,
    pub problem: String,
}

impl From<CorruptAccount> for StoreError {
    fn from(corrupt: CorruptAccount) -> Self {
        Self::Corrupt { account: corrupt.id, table: "a row", problem: corrupt.problem }
    }
}

const ACCOUNTS: &str =
    "select id, name, currency, opened_at, version, settled_at, state, suspended_for, verified, card,
    resume_on_deposit, wallet, brought_in, trial_ends_at, trial_ended, trial_traffic_used, trial_traffic_cost,
    trial_traffic_charged, trial_traffic_due_after, daily_paid_until, invoiced_until, next_transfer, next_event,
    next_service, next_invoice, next_charge, waiting
    from accounts where id = any($1)";

const INVOICES: &str = "select account_id, number, issued_at, total, paid, credited, written_off, paid_at, credited_at,
    overdue, tries_made, first_try_due, first_failed_at, tries_done_until, new_card_at
    from invoices where paid_at is null and account_id = any($1)";

/// One that is paid already.
const INVOICE: &str = "select account_id, number, issued_at, total, paid, credited, written_off, paid_at, credited_at,
    overdue, tries_made, first_try_due, first_failed_at, tries_done_until, new_card_at
    from invoices where paid_at is not null and account_id = $1 and number = $2";

const INTENTS: &str = "select account_id, key, purpose, card, amount, due_at, answer
    from intents where used_at is null and account_id = any($1)";

const RECEIPTS: &str = "select account_id, id, provider, kind, amount, received_at
    from receipts where applied_at is null and account_id = any($1)";

type Slots = HashMap<i64, std::result::Result<Account, Problem>>;

impl Store {
    /// The accounts of `ids`, in that order; ids that do not exist are left out.
    pub async fn accounts_load(
        &self,
        ids: &[AccountId],
        scope: Scope<'_>,
    ) -> Result<Vec<std::result::Result<Account, CorruptAccount>>> {
        let mut snapshot = self.snapshot().await?;
        let loaded = accounts(&mut snapshot, ids, scope).await?;
        snapshot.commit().await?;
        Ok(loaded)
    }
}

/// What [`Store::accounts_load`] does, in the caller's snapshot.
pub async fn accounts(
    connection: &mut Transaction,
    ids: &[AccountId],
    scope: Scope<'_>,
) -> Result<Vec<std::result::Result<Account, CorruptAccount>>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let mut slots = Slots::with_capacity(keys.len());
    for row in of_accounts(connection, ACCOUNTS, &keys).await? {
        let mut cells = Cells::of(&row);
        let id = cells.int().map_err(|problem| StoreError::CorruptTable { table: "accounts", problem })?;
        slots.insert(id, read_account(id, &mut cells));
    }
    let services = services(connection, &keys, scope).await?;
    fill(&mut slots, "services", &services, service_row::read, |account, service| account.services.push(service));
    let invoices = of_accounts(connection, INVOICES, &keys).await?;
    fill(&mut slots, "invoices", &invoices, read_invoice, |account, invoice| account.invoices.push(invoice));
    if let (Scope::For(action), [key]) = (scope, keys.as_slice()) {
        if let Some(number) = action.invoice() {
            let paid = sql::query(INVOICE).bind(*key).bind(number).fetch_all(&mut *connection).await?;
            fill(&mut slots, "invoices", &paid, read_invoice, |account, invoice| account.invoices.push(invoice));
        }
        if let Some(Ok(account)) = slots.get_mut(key) {
            match past::of(connection, account, action).await? {
                Ok(past) => account.past = past,
                Err(problem) => drop(slots.insert(*key, Err(problem))),
            }
        }
    }
    let intents = of_accounts(connection, INTENTS, &keys).await?;
    fill(&mut slots, "intents", &intents, read_intent, |account, intent| account.intents.push(intent));
    let receipts = of_accounts(connection, RECEIPTS, &keys).await?;
    fill(&mut slots, "receipts", &receipts, read_receipt, |account, receipt| account.receipts.push(receipt));
    let in_order = |id: &AccountId| {
        let slot = slots.remove(&id.0)?;
        Some(slot.map(sorted).map_err(|problem| CorruptAccount { id: *id, problem }))
    };
    Ok(ids.iter().filter_map(in_order).collect())
}

/// The orders that the rules count on.
fn sorted(mut account: Account) -> Account {
    account.services.sort_by(|a, b| a.rank().cmp(&b.rank()));
    account.invoices.sort_by_key(|invoice| invoice.number);
    account.intents.sort_by(|a, b| (a.due_at, &a.key).cmp(&(b.due_at, &b.key)));
    account.receipts.sort_by_key(|receipt| (receipt.received_at, receipt.id));
    account
}

async fn of_accounts(connection: &mut Transaction, question: &'static str, keys: &[i64]) -> Result<Vec<Row>> {
    sql::query(question).bind(keys.to_vec()).fetch_all(connection).await
}

async fn services(connection: &mut Transaction, keys: &[i64], scope: Scope<'_>) -> Result<Vec<Row>> {
    let named: Vec<&str> = match scope {
        Scope::With(names) => names.to_vec(),
        Scope::For(action) => action.service().into_iter().collect(),
        Scope::All | Scope::Unfinished => Vec::new(),
    };
    let mut statement = Builder::new("select ");
    statement.push(service_row::COLUMNS).push(" from services where account_id").push_set(keys.to_vec());
    match named.as_slice() {
        _ if scope == Scope::All => {}
        [] => {
            statement.push(" and not finished");
        }
        names => {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            statement.push(" and (not finished or name").push_set(names).push(")");
        }
    }
    statement.build().fetch_all(connection).await
}

/// Puts each row to its account. What cannot be read costs that account alone.
fn fill<T>(
    slots: &mut Slots,
    table: &str,
    rows: &[Row],
    read: fn(&mut Cells<'_>) -> std::result::Result<T, Problem>,
    put: fn(&mut Account, T),
) {
    for row in rows {
        let mut cells = Cells::of(row);
        let slot = cells.int().ok().and_then(|id| slots.get_mut(&id));
        let Some(slot) = slot else { continue };
        if let Ok(account) = slot {
            match read(&mut cells) {
                Ok(part) => put(account, part),
                Err(problem) => *slot = Err(format!("{table}: {problem}")),
            }
        }
    }
}

/// Reads an account without its parts; `cells` stands behind the id.
fn read_account(id: i64, cells: &mut Cells<'_>) -> std::result::Result<Account, Problem> {
    Ok(Account {
        id: AccountId(id),
        name: cells.text()?,
        currency: cells.currency()?,
        opened_at: cells.time()?,
        version: cells.int()?,
        settled_at: cells.time()?,
        standing: read_standing(cells)?,
        verified: cells.flag()?,
        card: cells.maybe_text()?,
        resume_on_deposit: cells.flag()?,
        wallet: cells.micros()?,
        brought_in: cells.micros()?,
        trial: read_trial(cells)?,
        daily_paid_until: cells.time()?,
        invoiced_until: cells.time()?,
        next: Sequences {
            transfer: cells.int()?,
            event: cells.int()?,
            service: cells.int()?,
            invoice: cells.int()?,
            charge: cells.int()?,
        },
        waiting: cells.maybe_json()?,
        services: Vec::new(),
        invoices: Vec::new(),
        intents: Vec::new(),
        receipts: Vec::new(),
        past: Past::default(),
    })
}

/// Two cells: state and suspended_for.
pub fn read_standing(cells: &mut Cells<'_>) -> std::result::Result<Standing, Problem> {
    let state = cells.text()?;
    let reason = cells.maybe_name()?;
    match (state.as_str(), reason) {
        ("active", None) => Ok(Standing::Active),
        ("suspended", Some(reason)) => Ok(Standing::Suspended(reason)),
        ("closed", None) => Ok(Standing::Closed),
        _ => Err(format!("state: `{state}` does not go with its reason")),
    }
}

fn read_trial(cells: &mut Cells<'_>) -> std::result::Result<Option<Trial>, Problem> {
    let (ends_at, ended, traffic_used) = (cells.maybe_time()?, cells.maybe_flag()?, cells.maybe_micros()?);
    let (traffic_cost, traffic_charged) = (cells.maybe_price()?, cells.maybe_micros()?);
    let traffic_due_after = cells.maybe_time()?;
    let Some(ends_at) = ends_at else { return Ok(None) };
    Ok(Some(Trial {
        ends_at,
        ended: required(ended, "trial_ended")?,
        traffic_used: required(traffic_used, "trial_traffic_used")?,
        traffic_cost: required(traffic_cost, "trial_traffic_cost")?,
        traffic_charged: required(traffic_charged, "trial_traffic_charged")?,
        traffic_due_after: required(traffic_due_after, "trial_traffic_due_after")?,
    }))
}

fn read_invoice(cells: &mut Cells<'_>) -> std::result::Result<Invoice, Problem> {
    Ok(Invoice {
        number: cells.int()?,
        issued_at: cells.time()?,
        total: cells.micros()?,
        paid: cells.micros()?,
        credited: cells.micros()?,
        written_off: cells.micros()?,
        paid_at: cells.maybe_time()?,
        credited_at: cells.maybe_time()?,
        overdue: cells.flag()?,
        tries: Tries {
            made: cells.small()?,
            first_is_due: cells.flag()?,
            first_failed_at: cells.maybe_time()?,
            done_until: cells.time()?,
            new_card_at: cells.maybe_time()?,
        },
    })
}

/// Reads an intent; `cells` stands behind the account's id.
pub fn read_intent(cells: &mut Cells<'_>) -> std::result::Result<Intent, Problem> {
    Ok(Intent {
        key: cells.text()?,
        purpose: cells.json()?,
        card: cells.text()?,
        amount: cells.micros()?,
        due_at: cells.time()?,
        answer: cells.maybe_name()?,
    })
}

fn read_receipt(cells: &mut Cells<'_>) -> std::result::Result<Receipt, Problem> {
    Ok(Receipt {
        id: cells.int()?,
        provider: cells.text()?,
        kind: cells.name()?,
        amount: cells.micros()?,
        received_at: cells.time()?,
    })
}
