//! Where accounts are worked on: load, decide, commit, and ask the outside in between.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use providers::{CardCharge, Cards};
use rules::{
    Account, AccountId, Action, Answer, Changes, Context, NewAccount, Outage, Policy, PriceBook, Progress, Refusal,
    Timestamp, due_seconds,
};
use store::{Commit, CorruptAccount, Outcome, RunId, Scope, ShardProgress, Stamp, Store, StoreError};

use crate::clock::Clock;
use crate::error::JobError;
use crate::stop::Stop;
use crate::tally::Tally;

/// How often a decision is made anew on an account that moved meanwhile.
const ROUNDS_MAX: u32 = 8;

/// A charge without an answer for so long is pending: the books go on without it (rule 11.7).
const ANSWER_SECS: i64 = 120;

/// An account that cannot be settled is tried again after this, doubled each time, up to a day.
const PARKED_SECS: i64 = 60;

#[derive(Clone)]
pub struct Office {
    pub store: Store,
    pub clock: Clock,
    pub policy: Arc<Policy>,
    /// Asked for, work ends between two batches.
    pub stop: Stop,
    cards: Arc<dyn Cards>,
    reference: Arc<RwLock<Arc<Reference>>>,
}

/// What holds for all accounts and is read once.
#[derive(Debug, Default)]
struct Reference {
    prices: PriceBook,
    outages: Vec<Outage>,
}

/// Decisions that are not written yet.
#[derive(Default)]
pub struct Decided {
    commits: Vec<Commit>,
    faults: Vec<(AccountId, String)>,
}

/// How an action ended.
pub type Acted = Result<(), Refusal>;

impl Office {
    /// Opens the office over a store; prices and outages are read from it.
    pub async fn open(store: Store, clock: Clock, policy: Policy, cards: Arc<dyn Cards>) -> Result<Self, JobError> {
        let (policy, stop) = (Arc::new(policy), Stop::default());
        let office = Self { store, clock, policy, stop, cards, reference: Arc::default() };
        office.reload().await?;
        Ok(office)
    }

    /// Reads price lists and outages anew.
    pub async fn reload(&self) -> Result<(), JobError> {
        let reference = Reference { prices: self.store.price_book().await?, outages: self.store.outages().await? };
        *self.reference.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(reference);
        Ok(())
    }

    fn reference(&self) -> Arc<Reference> {
        self.reference.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs `decide` with what holds for all accounts.
    pub fn with_context<T>(&self, decide: impl FnOnce(&Context<'_>) -> T) -> T {
        let reference = self.reference();
        decide(&Context { prices: &reference.prices, policy: &self.policy, outages: &reference.outages })
    }

    /// Opens an account.
    pub async fn open_account(&self, new: NewAccount, now: Timestamp) -> Result<AccountId, JobError> {
        let account = rules::open_account(new, &self.policy, now);
        let due = self.with_context(|cx| due_seconds(&account, cx));
        Ok(self.store.account_insert(&account, &due, self.clock.now()).await?)
    }

    /// Settles accounts up to `until`, whole. Those that cannot be are parked, the others go on.
    pub async fn settle(
        &self,
        accounts: &[AccountId],
        until: Timestamp,
        mut progress: Option<&mut ShardProgress>,
    ) -> Result<Tally, JobError> {
        let mut tally = Tally::default();
        let mut left = accounts.to_vec();
        for _ in 0..ROUNDS_MAX {
            if left.is_empty() {
                return Ok(tally);
            }
            let decided = self.decide(&left, until).await?;
            let (written, stale) = self.commit(decided, progress.as_deref_mut()).await?;
            tally.merge(written);
            left = stale;
        }
        tracing::warn!(accounts = left.len(), "accounts kept moving; the next wake finds them");
        Ok(tally)
    }

    /// Loads accounts and decides what is due on them, without writing.
    pub async fn decide(&self, accounts: &[AccountId], until: Timestamp) -> Result<Decided, JobError> {
        let loaded = self.store.accounts_load(accounts, Scope::Unfinished).await?;
        let mut decided = Decided::default();
        self.with_context(|cx| {
            for account in loaded {
                match account {
                    Ok(account) => {
                        let (id, name) = (account.id, account.name.clone());
                        match rules::settle(account, cx, until) {
                            Ok(changes) => decided.commits.push(commit_of(changes, cx)),
                            Err(error) => decided.faults.push((id, format!("account `{name}`: {error}"))),
                        }
                    }
                    Err(CorruptAccount { id, problem }) => decided.faults.push((id, problem)),
                }
            }
        });
        Ok(decided)
    }

    /// Writes decisions; answers what was done, and which accounts had moved meanwhile.
    pub async fn commit(
        &self,
        decided: Decided,
        progress: Option<&mut ShardProgress>,
    ) -> Result<(Tally, Vec<AccountId>), JobError> {
        let Decided { mut commits, mut faults } = decided;
        let mut tally = Tally::default();
        let mut stale = Vec::new();
        let advanced = progress.as_ref().map(|progress| advance(progress, &commits));
        let stamp = Stamp { recorded_at: self.clock.now(), run: progress.as_ref().map(|progress| progress.run) };
        match self.store.commit(&commits, stamp, advanced.as_ref()).await {
            Ok(outcomes) => note(&commits, &outcomes, &mut tally, &mut stale),
            // One account's fault must not stop the others of its batch.
            Err(StoreError::Constraint { .. }) => {
                for commit in commits.drain(..) {
                    let id = commit.changes.id();
                    let alone = [commit];
                    match self.store.commit(&alone, stamp, None).await {
                        Ok(outcomes) => note(&alone, &outcomes, &mut tally, &mut stale),
                        Err(error @ StoreError::Constraint { .. }) => faults.push((id, error.to_string())),
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Err(error) => return Err(error.into()),
        }
        if let (Some(progress), Some(advanced)) = (progress, advanced) {
            *progress = advanced;
        }
        self.unpark_settled(&commits).await?;
        for (account, problem) in faults {
            self.park(account, &problem).await?;
            tally.count("parked", 1);
        }
        Ok((tally, stale))
    }

    async fn park(&self, account: AccountId, problem: &str) -> Result<(), JobError> {
        let now = self.clock.now();
        let known = self.store.parked().await?.into_iter().find(|parked| parked.account == account);
        let tries = known.map_or(0, |parked| parked.tries);
        let wait = PARKED_SECS << tries.min(11);
        tracing::error!(account = account.0, problem, "account is parked");
        self.store.park(account, problem, now, now.plus_secs(wait.min(rules::DAY))).await?;
        Ok(())
    }

    async fn unpark_settled(&self, commits: &[Commit]) -> Result<(), JobError> {
        let parked = self.store.parked().await?;
        if parked.is_empty() {
            return Ok(());
        }
        let settled: HashSet<AccountId> = commits.iter().map(|commit| commit.changes.id()).collect();
        let again: Vec<AccountId> =
            parked.iter().map(|parked| parked.account).filter(|id| settled.contains(id)).collect();
        Ok(self.store.unpark(&again).await?)
    }

    /// Asks the cards of these accounts for the charges that wait; answers which accounts can go on.
    pub async fn ask_cards(&self, accounts: &[AccountId], now: Timestamp) -> Result<Vec<AccountId>, JobError> {
        let wanted: HashSet<AccountId> = accounts.iter().copied().collect();
        let mut answered = Vec::new();
        for account in self.store.accounts_load(accounts, Scope::Unfinished).await? {
            let Ok(account) = account else { continue };
            if wanted.contains(&account.id) && self.ask_cards_of(&account, now).await? {
                answered.push(account.id);
            }
        }
        Ok(answered)
    }

    async fn ask_cards_of(&self, account: &Account, now: Timestamp) -> Result<bool, JobError> {
        let mut all = true;
        for intent in account.intents.iter().filter(|intent| intent.answer.is_none()) {
            let charge = CardCharge {
                key: intent.key.clone(),
                card: intent.card.clone(),
                amount: intent.amount,
                currency: account.currency,
            };
            let answer = match self.cards.charge(&charge).await {
                Ok(answer) => answer,
                Err(_) if now.secs() - intent.due_at.secs() >= ANSWER_SECS => Answer::Pending,
                Err(unreachable) => {
                    tracing::warn!(account = account.id.0, %unreachable, "a charge waits for its answer");
                    all = false;
                    continue;
                }
            };
            self.store.intent_answer(account.id, &intent.key, answer, now).await?;
        }
        Ok(all)
    }

    /// Settles an account up to `now` and does `action` on it, or says why not.
    pub async fn act(&self, account: AccountId, action: &Action, now: Timestamp) -> Result<Acted, JobError> {
        let service = action.service();
        let names: Vec<&str> = service.into_iter().collect();
        let mut begun = false;
        let mut name = String::new();
        for _ in 0..ROUNDS_MAX {
            let account = self.load_one(account, Scope::With(&names)).await?;
            name.clone_from(&account.name);
            let waited = account.waiting.is_some();
            let changes = self.with_context(|cx| {
                let decided =
                    if begun { rules::settle(account, cx, now) } else { rules::act(account, cx, action, now) };
                decided.map_err(|error| JobError::Unsettleable { account: name.clone(), problem: error.to_string() })
            })?;
            let (id, outcome, progress) = (changes.id(), changes.outcome, changes.progress);
            let waits = changes.account.waiting.is_some();
            if self.write_one(changes, None).await? == Outcome::Stale {
                continue;
            }
            begun |= waits && !waited;
            if progress == Progress::AwaitsAnswer && self.ask_cards(&[id], now).await?.is_empty() {
                if let Some(acted) = outcome {
                    return Ok(acted);
                }
                return Err(JobError::AwaitsProvider(name));
            }
            if let Some(acted) = outcome {
                if progress == Progress::AwaitsAnswer {
                    self.settle_and_collect(&[id], now).await?;
                }
                return Ok(acted);
            }
        }
        Err(JobError::Contended(name))
    }

    /// Settles accounts and asks their cards as far as that goes on at once.
    pub async fn settle_and_collect(&self, accounts: &[AccountId], now: Timestamp) -> Result<Tally, JobError> {
        use crate::job::Job;
        crate::collect_payments::CollectPayments::work(self, accounts, now, None).await
    }

    /// Authorises a new card.
    pub async fn authorise(&self, card: &str) -> Result<bool, JobError> {
        self.cards.authorise(card).await.map_err(|unreachable| JobError::AwaitsProvider(unreachable.to_string()))
    }

    async fn load_one(&self, id: AccountId, scope: Scope<'_>) -> Result<Account, JobError> {
        let loaded = self.store.accounts_load(&[id], scope).await?.into_iter().next();
        match loaded {
            Some(Ok(account)) => Ok(account),
            Some(Err(corrupt)) => Err(StoreError::from(corrupt).into()),
            None => Err(StoreError::NotFound { what: "account", key: id.0.to_string() }.into()),
        }
    }

    async fn write_one(&self, changes: Changes, run: Option<RunId>) -> Result<Outcome, JobError> {
        let commit = self.with_context(|cx| commit_of(changes, cx));
        let stamp = Stamp { recorded_at: self.clock.now(), run };
        let outcomes = self.store.commit(&[commit], stamp, None).await?;
        Ok(outcomes.into_iter().next().unwrap_or(Outcome::Stale))
    }
}

fn commit_of(changes: Changes, cx: &Context<'_>) -> Commit {
    let due = due_seconds(&changes.account, cx);
    Commit { changes, due }
}

/// The shard's progress once `commits` are written; sums of stale ones are the next batch's.
fn advance(progress: &ShardProgress, commits: &[Commit]) -> ShardProgress {
    let mut tally = Tally { counts: progress.counts.clone(), moved: progress.moved.clone(), ..Tally::default() };
    for commit in commits {
        tally.add_changes(&commit.changes);
    }
    let up_to = commits.iter().map(|commit| commit.changes.id()).max().unwrap_or(progress.up_to);
    ShardProgress {
        up_to: progress.up_to.max(up_to),
        done: progress.done + u64::try_from(commits.len()).unwrap_or_default(),
        counts: tally.counts,
        moved: tally.moved,
        ..progress.clone()
    }
}

fn note(commits: &[Commit], outcomes: &[Outcome], tally: &mut Tally, stale: &mut Vec<AccountId>) {
    for (commit, outcome) in commits.iter().zip(outcomes) {
        match outcome {
            Outcome::Stale => stale.push(commit.changes.id()),
            Outcome::Written => {
                tally.done += 1;
                tally.add_changes(&commit.changes);
                if commit.changes.progress == Progress::AwaitsAnswer {
                    tally.awaiting.push(commit.changes.id());
                }
            }
        }
    }
}
