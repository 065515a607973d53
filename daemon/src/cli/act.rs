//! An action from the command line: what it brought about, or why not.

use std::collections::BTreeMap;

use jobs::{Acted, JobError, Office};
use rules::{Account, AccountId, Action, Changes, Intent, Refusal, TransferKind};
use serde_json::{Value, json};
use store::{EventRow, LedgerRow, NewRefusal, Scope, ServiceRow, Store, StoreError, Told};

use crate::cli::author::author;
use crate::cli::books::{Books, Refused};
use crate::cli::printed::Names;
use crate::cli::refusal::{self, By};
use crate::cli::rows::{self, account_line, entries_table, events_table, service_line, with_currency};
use crate::view::{AccountSummary, AccountView, ChangeView, EntryView, EventView, ServiceView};

/// What is new on an account, and how it stands then.
pub struct Brought {
    account: Account,
    service: Option<ServiceRow>,
    entries: Vec<LedgerRow>,
    events: Vec<EventRow>,
    /// Charges of a card that would be asked for first; of a preview.
    asks: Vec<Intent>,
    is_preview: bool,
}

/// Does `action` on the account that `whose` finds, or only decides on it; what it comes to.
pub async fn act_or_preview(
    books: &Books,
    only_preview: bool,
    action: &Action,
    whose: impl AsyncFnOnce(&Store) -> anyhow::Result<AccountId>,
) -> anyhow::Result<(Value, String)> {
    let office = if only_preview { books.office().await? } else { books.office_for_changes().await? };
    let id = whose(&office.store).await?;
    let brought =
        if only_preview { preview(&office, id, action, By::Command).await? } else { act(&office, id, action).await? };
    Ok((brought.json(), brought.text()))
}

/// Does `action`, or says why not. What fell due meanwhile is settled first, and stands among what is new.
async fn act(office: &Office, id: AccountId, action: &Action) -> anyhow::Result<Brought> {
    act_as(office, id, action, (&author(), By::Command)).await
}

/// The same for whoever asks.
pub async fn act_as(
    office: &Office,
    id: AccountId,
    action: &Action,
    (author, by): (&str, By),
) -> anyhow::Result<Brought> {
    let before = load(office, id, named(action)).await?;
    let now = office.clock.now();
    let (stood, service) = (state(&before, named(action)), named(action).map(str::to_owned));
    office.store.tell_note_by(move |changes| Told {
        result: match changes.outcome {
            Some(Ok(())) => "done",
            Some(Err(refusal)) => refusal.name(),
            None => "waits",
        }
        .to_owned(),
        before: Some(stood.clone()),
        after: Some(state(&changes.account, service.as_deref())),
        answer: None,
    });
    let acted = match office.act(id, action, now).await {
        Err(JobError::DoneElsewhere(_)) => finished_elsewhere(office, &before, action).await?,
        acted => acted?,
    };
    match acted {
        Ok(()) => brought(office, &before, named(action)).await,
        Err(refusal) => {
            let account = load(office, id, action.service()).await?;
            let why = office.with_context(|cx| refusal::why(refusal, action, &account, cx, now, by));
            let refused = Refused { code: refusal.name(), why };
            note(office, &account, (&verb(action)?, named(action)), &refused, author).await;
            Err(refused.into())
        }
    }
}

/// Keeps what was refused, for whoever asks later why.
pub async fn note(
    office: &Office,
    account: &Account,
    (action, service): (&str, Option<&str>),
    refused: &Refused,
    author: &str,
) {
    let mut stood = BTreeMap::from([
        ("account", account.standing.name().to_owned()),
        ("wallet", with_currency(account.wallet, account.currency)),
    ]);
    if let Some(service) = service.and_then(|service| account.service(service)) {
        stood.insert("service", service.state().to_owned());
        stood.insert("plan", service.order.plan.clone());
    }
    let new = NewRefusal {
        account: account.id,
        at: office.clock.now(),
        action,
        service,
        code: refused.code,
        why: &refused.why,
        author,
        stood: &stood,
    };
    office.store.note_result(refused.code);
    // Whether it can be kept or not: what is told is the same.
    let _ = office.store.refusal_insert(&new).await;
}

/// What an action is called, in the words of a scenario.
fn verb(action: &Action) -> anyhow::Result<String> {
    let written = serde_json::to_value(action)?;
    Ok(written["do"].as_str().unwrap_or("act").to_owned())
}

/// What became of an action that waited for its card, and that another worker went on with: the card's credit stands
/// beside what it paid for, and without it nothing was done.
async fn finished_elsewhere(office: &Office, before: &Account, action: &Action) -> anyhow::Result<Acted> {
    let came = brought(office, before, None).await?;
    let is_of_it =
        |entry: &LedgerRow| entry.kind == TransferKind::CardCredit && entry.service.as_deref() == named(action);
    Ok(if came.entries.iter().any(is_of_it) { Ok(()) } else { Err(Refusal::PaymentFailed) })
}

/// All that is on the account and was not yet on `before`.
pub async fn brought(office: &Office, before: &Account, service: Option<&str>) -> anyhow::Result<Brought> {
    let (entries, events) = office.store.trail_from(before.id, before.next.transfer, before.next.event).await?;
    let service = match service {
        Some(service) => office.store.service(service).await?,
        None => None,
    };
    let account = load(office, before.id, None).await?;
    Ok(Brought { account, service, entries, events, asks: Vec::new(), is_preview: false })
}

/// Decides on `action` without writing.
pub async fn preview(office: &Office, id: AccountId, action: &Action, by: By) -> anyhow::Result<Brought> {
    let now = office.clock.now();
    let changes = office.preview(id, action, now).await?;
    if let Some(Err(refusal)) = changes.outcome {
        let why = office.with_context(|cx| refusal::why(refusal, action, &changes.account, cx, now, by));
        return Err(Refused { code: refusal.name(), why }.into());
    }
    if let Action::CreateService { service, .. } = action
        && office.store.service_owner(service).await?.is_some()
    {
        return Err(StoreError::NameTaken { what: "service", name: service.clone() }.into());
    }
    let asks = changes.new_intents.clone();
    Ok(Brought { asks, is_preview: true, ..Brought::of(&changes, action, now) })
}

fn entries_of(
    changes: &Changes,
    now: rules::Timestamp,
    name: impl Fn(Option<i64>) -> Option<String>,
) -> Vec<LedgerRow> {
    let rows = changes.transfers.iter().map(|transfer| LedgerRow {
        account: changes.account.name.clone(),
        number: transfer.number,
        kind: transfer.kind,
        currency: changes.account.currency,
        amount: transfer.amount,
        effective_at: transfer.effective_at,
        recorded_at: now,
        service: name(transfer.service),
        invoice: transfer.invoice,
        period: transfer.period,
        basis: transfer.basis.clone(),
        run: None,
        author: transfer.author.clone(),
        reason: transfer.reason.clone(),
        corrects: transfer.corrects,
    });
    rows.collect()
}

fn events_of(changes: &Changes, now: rules::Timestamp, name: impl Fn(Option<i64>) -> Option<String>) -> Vec<EventRow> {
    let rows = changes.events.iter().map(|event| EventRow {
        account: changes.account.name.clone(),
        number: event.number,
        at: event.at,
        recorded_at: now,
        kind: event.kind.name().to_owned(),
        reason: event.kind.reason(),
        service: name(event.service),
        invoice: event.invoice,
    });
    rows.collect()
}

/// How an account and a service of it stand, for the audit log.
pub fn state(account: &rules::Account, service: Option<&str>) -> String {
    let service = service.and_then(|service| account.service(service));
    let shown = service.map(|service| {
        let order = &service.order;
        json!({
            "service": service.name,
            "state": service.state(),
            "plan": order.plan,
            "quantities": order.quantities.iter().map(|(name, count)| (name, count.to_string()))
                .collect::<std::collections::BTreeMap<_, _>>(),
            "options": order.options,
        })
    });
    let AccountSummary { state, reason, wallet, open_invoices, as_of, .. } = AccountView::of(account).summary;
    json!({
        "state": state, "reason": reason, "wallet": wallet, "open_invoices": open_invoices, "as_of": as_of,
        "service": shown,
    })
    .to_string()
}

/// The service that an action is about, or makes.
pub fn named(action: &Action) -> Option<&str> {
    match action {
        Action::CreateService { service, .. } => Some(service),
        action => action.service(),
    }
}

/// The account with all that is unfinished, and that service.
pub async fn load(office: &Office, id: AccountId, service: Option<&str>) -> anyhow::Result<Account> {
    let names: Vec<&str> = service.into_iter().collect();
    let account = office.store.accounts_load(&[id], Scope::With(&names)).await?.pop();
    Ok(account.ok_or_else(|| StoreError::NotFound { what: "account", key: id.0.to_string() })??)
}

impl Brought {
    /// What a decision comes to.
    pub fn of(changes: &Changes, action: &Action, now: rules::Timestamp) -> Self {
        let (account, brought) = (&changes.account, Self::of_settling(changes, now));
        let service = named(action).and_then(|service| account.service(service)).map(|service| ServiceRow {
            account_id: account.id,
            account: account.name.clone(),
            currency: account.currency,
            daily_paid_until: account.daily_paid_until,
            settled_at: account.settled_at,
            service: service.clone(),
        });
        Self { service, ..brought }
    }

    /// The same where nobody did anything: time went by, or money came.
    pub fn of_settling(changes: &Changes, now: rules::Timestamp) -> Self {
        let name = |number: Option<i64>| {
            let service = number.and_then(|number| changes.account.service_by_number(number));
            service.map(|service| service.name.clone())
        };
        let (entries, events) = (entries_of(changes, now, name), events_of(changes, now, name));
        let account = changes.account.clone();
        Self { account, service: None, entries, events, asks: Vec::new(), is_preview: false }
    }

    pub fn view(&self) -> ChangeView {
        ChangeView {
            preview: self.is_preview,
            account: AccountView::of(&self.account),
            service: self.service.as_ref().map(ServiceView::of),
            entries: self.entries.iter().map(EntryView::of).collect(),
            events: self.events.iter().map(EventView::of).collect(),
            card_charges: self.asks.iter().map(|intent| intent.amount.to_string()).collect(),
        }
    }

    pub const fn account(&self) -> &Account {
        &self.account
    }

    pub const fn service(&self) -> Option<&ServiceRow> {
        self.service.as_ref()
    }

    pub fn json(&self) -> Value {
        rows::json(&self.view())
    }

    pub fn text(&self) -> String {
        let mut parts = Vec::new();
        if self.is_preview {
            parts.push("A preview: nothing is written. It would come to this:".to_owned());
        }
        for ask in &self.asks {
            let amount = with_currency(ask.amount, self.account.currency);
            parts.push(format!("The saved card would be asked for {amount} first."));
        }
        if !self.entries.is_empty() {
            parts.push(entries_table(&self.entries, None, &Names::new()));
        }
        if !self.events.is_empty() {
            parts.push(events_table(&self.events));
        }
        if self.entries.is_empty() && self.events.is_empty() {
            parts.push("No money moved, and there is nothing to tell.".to_owned());
        }
        parts.extend(self.service.as_ref().map(service_line));
        parts.push(account_line(&self.account));
        parts.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::{Arc, OnceLock};

    use jobs::Clock;
    use providers::{CardCharge, Cards, NoCards, Unreachable};
    use rules::{Answer, Micros, Mode, NewAccount, Plan, Policy, Timestamp};
    use store::Opening;
    use tempfile::TempDir;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_776_000_000);

    /// A card that answers once another daemon has gone on with the answer.
    struct Slow {
        answer: Answer,
        other: OnceLock<(Office, AccountId)>,
    }

    type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, Unreachable>> + Send + 'a>>;

    impl Cards for Slow {
        fn charge<'a>(&'a self, charge: &'a CardCharge) -> Asked<'a, Answer> {
            Box::pin(async move {
                let (other, account) = self.other.get().expect("another office");
                other.store.intent_answer(*account, &charge.key, self.answer, NOW).await.expect("stored");
                other.settle(&[*account], NOW, None).await.expect("settled");
                Ok(self.answer)
            })
        }

        fn authorise<'a>(&'a self, _: &'a str) -> Asked<'a, bool> {
            Box::pin(async { Ok(true) })
        }
    }

    /// An account in its trial with a card, on books that two daemons serve.
    async fn desk(answer: Answer) -> (Office, AccountId, TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        let open = async || Store::open(&url, Opening::scratch(NOW)).await.expect("books");
        let store = open().await;
        let (components, options) = (BTreeMap::new(), BTreeMap::new());
        let price = Micros::new(131_000_000);
        let plan =
            Plan { mode: Mode::Monthly, price, currency: None, term_months: 1, components, options, private: false };
        let list = [("large".to_owned(), plan)].into();
        store.price_list_insert(&list, Timestamp::BEGINNING, "test", NOW).await.expect("a list");
        let slow = Arc::new(Slow { answer, other: OnceLock::new() });
        let (clock, policy) = (Clock::simulated(NOW), Policy::default());
        let office = Office::open(store, clock.clone(), policy.clone(), slow.clone()).await.expect("an office");
        let card = Some(("visa".to_owned(), true));
        let new = NewAccount { name: "ann".to_owned(), currency: None, trial: true, resume_on_deposit: false, card };
        let ann = office.open_account(new, NOW).await.expect("opened");
        let other = Office::open(open().await, clock, policy, Arc::new(NoCards)).await.expect("an office");
        assert!(slow.other.set((other, ann)).is_ok());
        (office, ann, folder)
    }

    #[tokio::test]
    async fn what_another_daemon_finished_is_told_as_it_ended() {
        let (service, plan) = ("large-1".to_owned(), "large".to_owned());
        let action = Action::CreateService { service, plan, quantities: BTreeMap::new(), options: BTreeSet::new() };
        let (office, ann, _folder) = desk(Answer::Succeeded).await;
        let brought = act(&office, ann, &action).await.expect("done");
        assert_eq!(brought.service.map(|row| row.service.name).as_deref(), Some("large-1"));
        let (office, ann, _folder) = desk(Answer::Failed).await;
        let refused = act(&office, ann, &action).await.err().expect("refused");
        assert_eq!(refused.downcast_ref::<Refused>().map(|refused| refused.code), Some("payment_failed"), "{refused}");
    }
}
