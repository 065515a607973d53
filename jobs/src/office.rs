//! Where accounts are worked on: load, decide, commit, and ask the outside in between.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use providers::{CardCharge, Cards};
use rules::{
    Account, AccountId, Action, Answer, Changes, Context, NewAccount, Policy, Progress, Refusal, Timestamp, due_seconds,
};
use store::{Commit, CorruptAccount, OpenIntent, Outcome, Revision, Scope, ShardProgress, Stamp, Store, StoreError};

use crate::clock::Clock;
use crate::error::JobError;
use crate::reference::Reference;
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

/// Decisions that are not written yet, and the revision of what holds for all that they were made with.
pub struct Decided {
    revision: Revision,
    commits: Vec<Commit>,
    faults: Vec<(AccountId, String)>,
}

/// How an action ended.
pub type Acted = Result<(), Refusal>;

impl Office {
    /// Opens the office over a store; prices and outages are read from it.
    pub async fn open(store: Store, clock: Clock, policy: Policy, cards: Arc<dyn Cards>) -> Result<Self, JobError> {
        let (policy, stop) = (Arc::new(policy), Stop::default());
        let reference = Arc::new(RwLock::new(Arc::new(Reference::read(&store).await?)));
        Ok(Self { store, clock, policy, stop, cards, reference })
    }

    /// Reads price lists and outages anew.
    pub async fn reload(&self) -> Result<(), JobError> {
        let reference = Reference::read(&self.store).await?;
        *self.reference.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(reference);
        Ok(())
    }

    /// Reads them anew if they moved: a decision that is stale may have been made with what held before.
    async fn reload_if_moved(&self) -> Result<(), JobError> {
        if self.store.revision().await? == self.revision() { Ok(()) } else { self.reload().await }
    }

    /// The revision of what [`Office::with_context`] gives.
    pub fn revision(&self) -> Revision {
        self.reference().revision
    }

    fn reference(&self) -> Arc<Reference> {
        self.reference.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs `decide` with what holds for all accounts.
    pub fn with_context<T>(&self, decide: impl FnOnce(&Context<'_>) -> T) -> T {
        decide(&self.reference().context(&self.policy))
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
            if !left.is_empty() {
                self.reload_if_moved().await?;
            }
        }
        tracing::warn!(accounts = left.len(), "accounts kept moving; the next wake finds them");
        Ok(tally)
    }

    /// Loads accounts and decides what is due on them, without writing.
    pub async fn decide(&self, accounts: &[AccountId], until: Timestamp) -> Result<Decided, JobError> {
        let loaded = self.store.accounts_load(accounts, Scope::Unfinished).await?;
        let reference = self.reference();
        let cx = &reference.context(&self.policy);
        let mut decided = Decided { revision: reference.revision, commits: Vec::new(), faults: Vec::new() };
        for account in loaded {
            match account {
                Ok(account) => {
                    let (id, name) = (account.id, account.name.clone());
                    // A bug that panics on one account must not stop the others.
                    let settled = catch_unwind(AssertUnwindSafe(|| {
                        rules::settle(account, cx, until).map(|changes| commit_of(changes, cx))
                    }));
                    match settled {
                        Ok(Ok(commit)) => decided.commits.push(commit),
                        Ok(Err(error)) => decided.faults.push((id, format!("account `{name}`: {error}"))),
                        Err(_) => decided.faults.push((id, format!("account `{name}`: the rules panicked"))),
                    }
                }
                Err(CorruptAccount { id, problem }) => decided.faults.push((id, problem)),
            }
        }
        Ok(decided)
    }

    /// Writes decisions; answers what was done, and which accounts had moved meanwhile.
    pub async fn commit(
        &self,
        decided: Decided,
        mut progress: Option<&mut ShardProgress>,
    ) -> Result<(Tally, Vec<AccountId>), JobError> {
        let Decided { revision, commits, mut faults } = decided;
        let mut written = Written::default();
        let run = progress.as_ref().map(|progress| progress.run);
        let stamp = Stamp { recorded_at: self.clock.now(), run, revision };
        let hoped = progress.as_deref().map(|progress| advance(progress, &commits));
        match self.store.commit(&commits, stamp, hoped.as_ref()).await {
            Ok(outcomes) => written.note(&commits, &outcomes),
            // One account's fault must not stop the others of its batch.
            Err(StoreError::Constraint { .. }) => {
                for commit in &commits {
                    match self.store.commit(std::slice::from_ref(commit), stamp, None).await {
                        Ok(outcomes) => written.note(std::slice::from_ref(commit), &outcomes),
                        Err(error @ StoreError::Constraint { .. }) => {
                            faults.push((commit.changes.id(), error.to_string()));
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Err(error) => return Err(error.into()),
        }
        self.unpark(&written.accounts).await?;
        for (account, problem) in faults {
            self.park(account, &problem).await?;
            written.tally.count("parked", 1);
        }
        // Of what was really written: the shard's next batch, or its end, writes these sums.
        if let Some(progress) = &mut progress {
            written.tally.add_to(progress);
        }
        Ok((written.tally, written.stale))
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

    async fn unpark(&self, written: &[AccountId]) -> Result<(), JobError> {
        let parked = self.store.parked().await?;
        let again: Vec<AccountId> =
            parked.iter().map(|parked| parked.account).filter(|id| written.contains(id)).collect();
        if again.is_empty() { Ok(()) } else { Ok(self.store.unpark(&again).await?) }
    }

    /// Asks the cards of these accounts for the charges that wait; answers which accounts can go on.
    pub async fn ask_cards(&self, accounts: &[AccountId], now: Timestamp) -> Result<Vec<AccountId>, JobError> {
        let open = self.store.intents_open(u32::MAX).await?;
        let mut answered = Vec::new();
        for account in self.store.accounts_load(accounts, Scope::Unfinished).await? {
            let Ok(account) = account else { continue };
            let mut all = true;
            for intent in open.iter().filter(|open| open.account == account.id) {
                all &= self.ask_card(&account, intent, now).await?;
            }
            if all {
                answered.push(account.id);
            }
        }
        Ok(answered)
    }

    /// Asks for one charge and stores the answer; false while there is none.
    async fn ask_card(&self, account: &Account, open: &OpenIntent, now: Timestamp) -> Result<bool, JobError> {
        let OpenIntent { intent, recorded_at, .. } = open;
        let charge = CardCharge {
            key: intent.key.clone(),
            card: intent.card.clone(),
            amount: intent.amount,
            currency: account.currency,
        };
        let answer = match self.cards.charge(&charge).await {
            Ok(answer) => answer,
            Err(_) if now.secs() - recorded_at.secs() >= ANSWER_SECS => Answer::Pending,
            Err(unreachable) => {
                tracing::warn!(account = account.id.0, %unreachable, "a charge waits for its answer");
                return Ok(false);
            }
        };
        self.store.intent_answer(account.id, &intent.key, answer, now).await?;
        Ok(true)
    }

    /// Settles an account up to `now` and does `action` on it, or says why not.
    pub async fn act(&self, id: AccountId, action: &Action, now: Timestamp) -> Result<Acted, JobError> {
        let names: Vec<&str> = action.service().into_iter().collect();
        // Whether the account keeps the action, which waits for a card: it is gone on with, not begun again.
        let mut begun = false;
        let mut stale = 0;
        loop {
            let account = self.load_one(id, Scope::With(&names)).await?;
            let name = account.name.clone();
            let waited = account.waiting.as_ref().map(|waiting| waiting.key.clone());
            let reference = self.reference();
            let cx = &reference.context(&self.policy);
            let decided = if begun { rules::settle(account, cx, now) } else { rules::act(account, cx, action, now) };
            let changes = decided
                .map_err(|error| JobError::Unsettleable { account: name.clone(), problem: error.to_string() })?;
            let (outcome, progress) = (changes.outcome, changes.progress);
            let waits = changes.account.waiting.as_ref().map(|waiting| waiting.key.clone());
            if self.write_one(changes, &reference).await? == Outcome::Stale {
                stale += 1;
                if stale == ROUNDS_MAX {
                    return Err(JobError::Contended(name));
                }
                self.reload_if_moved().await?;
                continue;
            }
            // What waited before is another action, also where this one began to wait right behind it.
            begun |= waits.is_some() && waits != waited;
            if let Some(acted) = outcome {
                if progress == Progress::AwaitsAnswer {
                    self.settle_and_collect(&[id], now).await?;
                }
                return Ok(acted);
            }
            if progress == Progress::Settled {
                return Err(JobError::DoneElsewhere(name));
            }
            if self.ask_cards(&[id], now).await?.is_empty() {
                return Err(if begun { JobError::Waits(name) } else { JobError::NotBegun(name) });
            }
        }
    }

    /// What [`Self::act`] would write at first, without writing it. Where a card is to be asked there is no
    /// outcome yet.
    pub async fn preview(&self, id: AccountId, action: &Action, now: Timestamp) -> Result<Changes, JobError> {
        let names: Vec<&str> = action.service().into_iter().collect();
        let account = self.load_one(id, Scope::With(&names)).await?;
        let name = account.name.clone();
        let decided = self.with_context(|cx| rules::act(account, cx, action, now));
        decided.map_err(|error| JobError::Unsettleable { account: name, problem: error.to_string() })
    }

    /// Settles accounts and asks their cards as far as that goes on at once.
    pub async fn settle_and_collect(&self, accounts: &[AccountId], now: Timestamp) -> Result<Tally, JobError> {
        use crate::job::Job;
        crate::collect_payments::CollectPayments::work(self, accounts, now, None).await
    }

    /// Authorises a new card.
    pub async fn authorise(&self, card: &str) -> Result<bool, JobError> {
        Ok(self.cards.authorise(card).await?)
    }

    async fn load_one(&self, id: AccountId, scope: Scope<'_>) -> Result<Account, JobError> {
        let loaded = self.store.accounts_load(&[id], scope).await?.into_iter().next();
        match loaded {
            Some(Ok(account)) => Ok(account),
            Some(Err(corrupt)) => Err(StoreError::from(corrupt).into()),
            None => Err(StoreError::NotFound { what: "account", key: id.0.to_string() }.into()),
        }
    }

    async fn write_one(&self, changes: Changes, reference: &Reference) -> Result<Outcome, JobError> {
        let commit = commit_of(changes, &reference.context(&self.policy));
        let stamp = Stamp { recorded_at: self.clock.now(), run: None, revision: reference.revision };
        let outcomes = self.store.commit(&[commit], stamp, None).await?;
        Ok(outcomes.into_iter().next().unwrap_or(Outcome::Stale))
    }
}

fn commit_of(changes: Changes, cx: &Context<'_>) -> Commit {
    let due = due_seconds(&changes.account, cx);
    Commit { changes, due }
}

/// The shard's progress if all of `commits` are written; who watches a run sees it with the batch.
fn advance(progress: &ShardProgress, commits: &[Commit]) -> ShardProgress {
    let mut hoped = progress.clone();
    let mut tally = Tally { done: u64::try_from(commits.len()).unwrap_or_default(), ..Tally::default() };
    for commit in commits {
        tally.add_changes(&commit.changes);
        hoped.up_to = hoped.up_to.max(commit.changes.id());
    }
    tally.add_to(&mut hoped);
    hoped
}

/// What of a batch was written, and what had moved meanwhile.
#[derive(Default)]
struct Written {
    tally: Tally,
    accounts: Vec<AccountId>,
    stale: Vec<AccountId>,
}

impl Written {
    fn note(&mut self, commits: &[Commit], outcomes: &[Outcome]) {
        for (commit, outcome) in commits.iter().zip(outcomes) {
            let id = commit.changes.id();
            match outcome {
                Outcome::Stale => self.stale.push(id),
                Outcome::Written => {
                    self.accounts.push(id);
                    self.tally.done += 1;
                    self.tally.add_changes(&commit.changes);
                    if commit.changes.progress == Progress::AwaitsAnswer {
                        self.tally.awaiting.push(id);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use providers::CardScript;
    use rules::{Micros, TransferKind};

    use super::*;
    use crate::testing::{Bench, Books, at, change_plan, counts, create, units};

    const MONTH: &str = "2026-04-01T00:00:00Z";

    #[tokio::test]
    async fn an_account_that_cannot_be_settled_is_parked_and_the_others_go_on() {
        let bench = Bench::at("2026-03-15T00:00:00Z").await;
        let ann = bench.customer("ann", "monthly", 100).await;
        let vast = bench.customer("vast", "vast", 100).await;
        let zoe = bench.customer("zoe", "monthly", 100).await;
        bench.advance(MONTH);
        let before = bench.books().await.accounts[1].clone();
        assert_eq!(bench.due("issue_invoices").await, [ann, vast, zoe]);
        let tally = bench.run("issue_invoices").await.expect("a run");
        assert_eq!((tally.done, tally.counts["invoice.paid"], tally.counts["parked"]), (2, 2, 1));
        let books = bench.books().await;
        assert_eq!(books.accounts[1], before, "nothing of it was written");
        let parked = bench.office.store.parked().await.expect("a list");
        let [one] = parked.as_slice() else { panic!("{parked:?}") };
        assert_eq!((one.account, one.name.as_str(), one.tries), (vast, "vast", 1));
        assert!(one.error.contains("vast") && one.error.contains("9223372036854.775807"), "{}", one.error);
        // Its run is done: nobody waits for it.
        assert_eq!(bench.office.store.runs_unfinished().await.expect("runs"), []);
        bench.verified().await;
    }

    #[tokio::test]
    async fn a_parked_account_is_tried_again_after_longer_and_longer() {
        let bench = Bench::at("2026-03-15T00:00:00Z").await;
        let vast = bench.customer("vast", "vast", 0).await;
        bench.advance(MONTH);
        let mut waits = Vec::new();
        for _ in 0..14 {
            let tally = bench.office.settle(&[vast], bench.now(), None).await.expect("no fault");
            assert_eq!((tally.done, counts(&tally)), (0, vec![("parked", 1)]));
            let parked = bench.office.store.parked().await.expect("a list").remove(0);
            assert_eq!(parked.parked_at, at(MONTH), "since when it is parked");
            waits.push(parked.next_try_at.secs() - bench.now().secs());
            // Until then no job sees it.
            bench.advance(&parked.next_try_at.plus_secs(-1).to_string());
            assert_eq!(bench.due("issue_invoices").await, []);
            bench.advance(&parked.next_try_at.to_string());
            assert_eq!(bench.due("issue_invoices").await, [vast]);
        }
        let doubling: Vec<i64> = (0..14).map(|tries| (60 << tries).min(rules::DAY)).collect();
        assert_eq!(waits, doubling);
    }

    #[tokio::test]
    async fn an_account_that_settles_is_parked_no_more() {
        let bench = Bench::at("2026-03-15T00:00:00Z").await;
        let vast = bench.customer("vast", "vast", 0).await;
        bench.advance(MONTH);
        bench.run("issue_invoices").await;
        assert_eq!(bench.office.store.parked().await.expect("a list").len(), 1);
        // The price is corrected: of two lists of one second the later one stands.
        let mut corrected = bench.office.store.price_lists().await.expect("lists").remove(0).list;
        corrected.get_mut("vast").expect("a plan").price = units(10);
        let published = bench.office.store.price_list_insert(&corrected, Timestamp::BEGINNING, "admin", bench.now());
        published.await.expect("published");
        bench.office.reload().await.expect("reloaded");
        bench.advance("2026-04-01T00:01:00Z");
        let tally = bench.office.settle(&[vast], bench.now(), None).await.expect("no fault");
        assert_eq!((tally.done, tally.counts["invoice.issued"]), (1, 1));
        assert_eq!(bench.office.store.parked().await.expect("a list"), []);
    }

    /// A decision with an older price list than is in force is refused, and made anew with that one.
    #[tokio::test]
    async fn a_decision_with_an_older_list_writes_nothing() {
        let bench = Bench::at("2026-03-02T12:00:00Z").await;
        let ann = bench.customer("ann", "daily", 100).await;
        bench.advance("2026-03-03T00:00:00Z");
        let stale = bench.office.decide(&[ann], bench.now()).await.expect("decided");
        let mut dearer = bench.office.store.price_lists().await.expect("lists").remove(0).list;
        dearer.get_mut("daily").expect("a plan").price = units(10);
        let published = bench.office.store.price_list_insert(&dearer, bench.now(), "admin", bench.now());
        published.await.expect("published");
        let (tally, left) = bench.office.commit(stale, None).await.expect("committed");
        assert_eq!((tally.done, left), (0, vec![ann]));
        let before = bench.wallet("ann").await;
        // This office has not heard of the list yet.
        bench.office.settle(&[ann], bench.now(), None).await.expect("settled");
        assert_eq!(before.get() - bench.wallet("ann").await.get(), units(10).get());
        bench.verified().await;
    }

    /// A decision on an account that moved meanwhile is refused whole, and made anew.
    #[tokio::test]
    async fn a_stale_decision_writes_nothing() {
        let bench = Bench::at("2026-03-02T12:00:00Z").await;
        let ann = bench.customer("ann", "daily", 100).await;
        let bob = bench.customer("bob", "daily", 100).await;
        bench.advance("2026-03-03T00:00:00Z");
        let stale = bench.office.decide(&[ann, bob], bench.now()).await.expect("decided");
        bench.receive(ann, "p1", 50).await;
        let (tally, left) = bench.office.commit(stale, None).await.expect("committed");
        assert_eq!((tally.done, left), (1, vec![ann]));
        assert_eq!(bench.wallet("ann").await, units(95));
        bench.office.settle(&[ann], bench.now(), None).await.expect("settled");
        assert_eq!(bench.wallet("ann").await, units(135));
        bench.verified().await;
    }

    /// Two workers on the same accounts, at once and one long after the other.
    #[tokio::test]
    async fn two_offices_leave_the_books_of_one() {
        let mut outcomes: Vec<Books> = Vec::new();
        for two in [false, true] {
            let bench = Bench::at("2026-03-01T00:00:00Z").await;
            for name in ["ann", "bob", "cay"] {
                let id = bench.customer(name, "daily", 700).await;
                bench.create(id, &format!("{name}-2"), "monthly").await;
                bench.create(id, &format!("{name}-3"), "term").await;
            }
            let (all, other) = (bench.all().await, bench.another_office().await);
            for now in ["2026-03-05T00:00:00Z", MONTH, "2026-05-02T00:00:00Z"] {
                bench.advance(now);
                if two {
                    let late = other.decide(&all, bench.now()).await.expect("decided");
                    let (one, another) = tokio::join!(
                        bench.office.settle_and_collect(&all, bench.now()),
                        other.settle_and_collect(&all, bench.now())
                    );
                    one.and(another).expect("settled");
                    let (tally, stale) = other.commit(late, None).await.expect("committed");
                    assert_eq!((tally.done, stale), (0, all.clone()));
                } else {
                    bench.office.settle_and_collect(&all, bench.now()).await.expect("settled");
                }
            }
            bench.verified().await;
            outcomes.push(bench.books().await);
        }
        assert_eq!(outcomes[0], outcomes[1]);
    }

    /// Receipts of several accounts at the same seconds, in whatever order they arrive and are worked off.
    #[tokio::test]
    async fn receipts_of_different_accounts_do_not_meet() {
        let mut outcomes: Vec<Books> = Vec::new();
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
            let bench = Bench::at("2026-03-01T00:00:00Z").await;
            let mut ids = Vec::new();
            for name in ["ann", "bob", "cay"] {
                bench.cards.script(name, CardScript::Fails);
                let id = bench.customer(name, "monthly", 0).await;
                bench.cards.script(name, CardScript::Fails);
                ids.push(id);
            }
            bench.advance("2026-04-09T00:00:00Z");
            bench.office.settle_and_collect(&ids, bench.now()).await.expect("settled");
            for payment in 0..2 {
                bench.advance(["2026-04-09T00:01:00Z", "2026-04-09T00:02:00Z"][payment]);
                for index in order {
                    bench.receive(ids[index], &format!("{index}-{payment}"), 13).await;
                }
            }
            for index in order {
                bench.office.settle_and_collect(&[ids[index]], bench.now()).await.expect("settled");
            }
            bench.verified().await;
            outcomes.push(bench.books().await);
        }
        assert!(outcomes.iter().all(|books| *books == outcomes[0]));
        assert!(outcomes[0].events.iter().any(|event| event.kind == "account.restored"));
    }

    /// A trial's account whose upgrade waits for a silent provider.
    async fn waiting() -> (Bench, AccountId) {
        let bench = Bench::at("2026-03-15T00:00:00Z").await;
        let ann = bench.open_in_trial("ann").await;
        bench.create(ann, "ann-1", "monthly").await;
        bench.cards.fall_silent(true);
        let acted = bench.office.act(ann, &change_plan("ann-1", "large"), bench.now()).await;
        assert!(matches!(acted, Err(JobError::Waits(_))), "{acted:?}");
        (bench, ann)
    }

    #[tokio::test]
    async fn an_action_that_waits_goes_on_when_the_provider_answers() {
        let (bench, ann) = waiting().await;
        bench.advance("2026-03-15T00:01:00Z");
        bench.cards.fall_silent(false);
        assert_eq!(bench.due("collect_payments").await, [ann]);
        bench.run("collect_payments").await;
        let books = bench.books().await;
        let changed = books.events.iter().find(|event| event.kind == "service.changed").expect("changed");
        assert_eq!(changed.at, at("2026-03-15T00:00:00Z"));
        let credits: Vec<Micros> = books.ledger.iter().map(|row| row.amount).collect();
        assert_eq!(credits, [bench.cards.taken()]);
        assert_eq!(books.ledger[0].kind, TransferKind::CardCredit);
        bench.verified().await;
    }

    #[tokio::test]
    async fn an_action_that_waits_for_too_long_is_refused_and_charges_nothing_later() {
        let (bench, ann) = waiting().await;
        bench.advance("2026-03-15T00:02:00Z");
        bench.run("collect_payments").await;
        bench.cards.fall_silent(false);
        bench.advance("2026-03-20T00:00:00Z");
        bench.run("collect_payments").await;
        let books = bench.books().await;
        assert_eq!((books.ledger.len(), books.events.len()), (0, 1));
        assert_eq!(bench.cards.taken(), Micros::ZERO);
        // Asked for again, it is another charge.
        bench.act(ann, change_plan("ann-1", "large")).await;
        assert_eq!(bench.wallet("ann").await, bench.cards.taken());
    }

    /// An action behind one that waits has its own outcome, and each is done once.
    #[tokio::test]
    async fn an_action_behind_one_that_waits_is_done_once() {
        let (bench, ann) = waiting().await;
        let key = bench.cards.keys().remove(0);
        bench.office.store.intent_answer(ann, &key, Answer::Succeeded, bench.now()).await.expect("stored");
        bench.cards.fall_silent(false);
        bench.advance("2026-03-16T00:00:00Z");
        let acted = bench.office.act(ann, &create("ann-2", "large"), bench.now()).await;
        assert_eq!(acted.expect("no fault"), Ok(()));
        let told: Vec<String> = bench.books().await.events.into_iter().map(|event| event.kind).collect();
        assert_eq!(told, ["service.created", "service.changed", "service.created"]);
        bench.cards.script("ann", CardScript::Fails);
        let acted = bench.office.act(ann, &create("ann-3", "large"), bench.now()).await;
        assert_eq!(acted.expect("no fault"), Err(Refusal::PaymentFailed));
        bench.verified().await;
    }
}
