//! Where accounts are worked on: load, decide, commit, and ask the outside in between.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use providers::{CardCharge, Cards};
use rules::{
    Account, AccountId, Action, Answer, Changes, Context, DueKind, NewAccount, Policy, Progress, Refusal, Timestamp,
    due_seconds,
};
use store::{
    Commit, CorruptAccount, Note, OpenIntent, Outcome, Revision, Scope, ShardProgress, Stamp, Store, StoreError,
};
use tracing::Instrument as _;

use crate::clock::{Clock, Stopwatch};
use crate::error::JobError;
use crate::hold::Band;
use crate::meter::Meter;
use crate::reference::{Reference, Wait};
use crate::runs::BATCH_ACCOUNTS;
use crate::slots::{Unopened, unopened};
use crate::stop::Stop;
use crate::tally::Tally;
use crate::till::Till;

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
    /// Where the books have none yet.
    policy: Arc<Policy>,
    /// Beyond it a calendar run is held; none, and every run goes by itself.
    band: Arc<RwLock<Option<Band>>>,
    /// Asked for, work ends between two batches.
    pub stop: Stop,
    /// What all clones of it did.
    pub meter: Arc<Meter>,
    pub(crate) till: Arc<Till>,
    cards: Arc<dyn Cards>,
    reference: Arc<RwLock<Arc<Reference>>>,
    /// As last read; read again when one of them passed.
    unopened: Arc<RwLock<Vec<Unopened>>>,
}

/// Decisions that are not written yet, and the revision of what holds for all that they were made with.
pub struct Decided {
    revision: Revision,
    pub(crate) commits: Vec<Commit>,
    faults: Vec<(AccountId, String)>,
    /// Accounts that were left because they wait for a held run.
    held: i64,
}

impl Decided {
    pub fn changes(&self) -> impl Iterator<Item = &Changes> {
        self.commits.iter().map(|commit| &commit.changes)
    }

    /// Accounts on which nothing could be decided.
    pub fn faults(&self) -> i64 {
        i64::try_from(self.faults.len()).unwrap_or(i64::MAX)
    }
}

/// How an action ended.
pub type Acted = Result<(), Refusal>;

impl Office {
    /// Opens the office over a store; prices, outages and the rules' numbers are read from it. `policy` is for books
    /// that no daemon has served.
    pub async fn open(store: Store, clock: Clock, policy: Policy, cards: Arc<dyn Cards>) -> Result<Self, JobError> {
        let (policy, stop) = (Arc::new(policy), Stop::default());
        let reference = Arc::new(RwLock::new(Arc::new(Reference::read(&store, &policy).await?)));
        let (unopened, meter, till) = (Arc::default(), Arc::default(), Arc::default());
        Ok(Self { store, clock, policy, band: Arc::default(), stop, meter, till, cards, reference, unopened })
    }

    /// The same, whose next change is that of this request.
    #[must_use]
    pub fn noting(&self, note: Arc<Note>) -> Self {
        Self { store: self.store.noting(note), ..self.clone() }
    }

    /// The same without the request: for what only prepares its change.
    #[must_use]
    pub fn unnoted(&self) -> Self {
        Self { store: self.store.unnoted(), ..self.clone() }
    }

    /// The same with a band.
    #[must_use]
    pub fn with_band(self, band: Option<Band>) -> Self {
        Self { band: Arc::new(RwLock::new(band)), ..self }
    }

    pub fn band(&self) -> Option<Band> {
        *self.band.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has this be the band of all its clones, for runs that are opened from now on.
    pub fn set_band(&self, band: Option<Band>) {
        *self.band.write().unwrap_or_else(PoisonError::into_inner) = band;
    }

    /// Reads price lists, outages, held runs, paused jobs and the rules' numbers anew.
    pub async fn reload(&self) -> Result<(), JobError> {
        let reference = Reference::read(&self.store, &self.policy).await?;
        *self.reference.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(reference);
        Ok(())
    }

    /// Reads them anew if they moved: a decision that is stale may have been made with what held before.
    pub async fn reload_if_moved(&self) -> Result<(), JobError> {
        if self.store.revision().await? == self.revision() { Ok(()) } else { self.reload().await }
    }

    /// The revision of what [`Office::with_context`] gives.
    pub fn revision(&self) -> Revision {
        self.reference().revision
    }

    /// The rules' numbers.
    pub fn policy(&self) -> Arc<Policy> {
        self.reference().policy.clone()
    }

    /// Has these be the rules' numbers from now on, for everybody who works on the books. What falls due by them is
    /// told anew; one that died before it had done so is gone on with.
    pub async fn adopt(&self, policy: &Policy) -> Result<(), JobError> {
        if self.store.policy_keep(policy, self.clock.now()).await? {
            return Ok(());
        }
        self.reload().await?;
        let most = u32::try_from(BATCH_ACCOUNTS).unwrap_or(u32::MAX);
        for kind in [DueKind::Retention, DueKind::Collection, DueKind::Trial] {
            let (mut after, end) = (AccountId(i64::MIN), Timestamp::from_secs(i64::MAX));
            loop {
                let accounts = self.store.accounts_due_or_held(kind, end, after, most).await?;
                let Some(last) = accounts.last() else { break };
                after = *last;
                // Up to where they are settled already: nothing is done on them but that.
                self.settle(&accounts, Timestamp::BEGINNING, None).await?;
            }
        }
        Ok(self.store.policy_followed(policy).await?)
    }

    pub(crate) fn reference(&self) -> Arc<Reference> {
        self.reference.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Slots that passed by `until` and whose runs are not open yet: what they may hold waits for them.
    pub(crate) async fn waited_for(&self, until: Timestamp) -> Result<Vec<Unopened>, JobError> {
        if self.band().is_none() {
            return Ok(Vec::new());
        }
        let known = self.unopened.read().unwrap_or_else(PoisonError::into_inner).clone();
        if !known.is_empty() && known.iter().all(|unopened| unopened.slot > until) {
            return Ok(Vec::new());
        }
        let mut read = unopened(&self.store).await?;
        self.unopened.write().unwrap_or_else(PoisonError::into_inner).clone_from(&read);
        read.retain(|unopened| unopened.is_waited_for(until));
        Ok(read)
    }

    /// Runs `decide` with what holds for all accounts.
    pub fn with_context<T>(&self, decide: impl FnOnce(&Context<'_>) -> T) -> T {
        decide(&self.reference().context())
    }

    /// Opens an account.
    pub async fn open_account(&self, new: NewAccount, now: Timestamp) -> Result<AccountId, JobError> {
        let account = rules::open_account(new, &self.policy(), now);
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

    /// Loads accounts and decides what is due on them, without writing. Those that wait for a run are left.
    pub async fn decide(&self, accounts: &[AccountId], until: Timestamp) -> Result<Decided, JobError> {
        let slots = self.waited_for(until).await?;
        let is_free = |account: &Account, reference: &Reference| reference.wait_of(account, &slots, until).is_none();
        self.decide_if(accounts, until, is_free).await
    }

    /// The same for a look ahead: held runs don't count, and of accounts without anything of `kind` due nothing is
    /// decided.
    pub async fn decide_regardless(
        &self,
        accounts: &[AccountId],
        kind: Option<DueKind>,
        until: Timestamp,
    ) -> Result<Decided, JobError> {
        let concerns = |account: &Account, reference: &Reference| {
            let due = due_seconds(account, &reference.context());
            kind.is_none_or(|kind| due.iter().any(|(of, at)| *of == kind && at.is_some_and(|at| at <= until)))
        };
        self.decide_if(accounts, until, concerns).await
    }

    async fn decide_if(
        &self,
        accounts: &[AccountId],
        until: Timestamp,
        concerns: impl Fn(&Account, &Reference) -> bool,
    ) -> Result<Decided, JobError> {
        let loaded = self.store.accounts_load(accounts, Scope::Unfinished).await?;
        let reference = self.reference();
        let cx = &reference.context();
        let mut decided = Decided { revision: reference.revision, commits: Vec::new(), faults: Vec::new(), held: 0 };
        for account in loaded {
            match account {
                Ok(account) if !concerns(&account, &reference) => decided.held += 1,
                Ok(account) => {
                    let id = account.id;
                    match settled(account, cx, until) {
                        Ok(commit) => decided.commits.push(commit),
                        Err(problem) => decided.faults.push((id, problem)),
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
        let Decided { revision, commits, mut faults, held } = decided;
        let mut written = Written::default();
        if held > 0 {
            written.tally.count("held", held);
        }
        let run = progress.as_ref().map(|progress| progress.run);
        let stamp = Stamp { recorded_at: self.clock.now(), run, revision };
        let hoped = progress.as_deref().map(|progress| advance(progress, &commits));
        if let [only] = commits.as_slice() {
            self.store.tell_note(&only.changes);
        }
        match self.write(&commits, stamp, hoped.as_ref()).await {
            Ok(outcomes) => written.note(&commits, &outcomes),
            // One account's fault must not stop the others of its batch.
            Err(StoreError::Constraint { .. }) => {
                for commit in &commits {
                    // As far as it had come before: what is not the worker's any more is refused here, too.
                    let before = progress.as_deref();
                    match self.write(std::slice::from_ref(commit), stamp, before).await {
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
        self.store.unpark(&written.accounts).await?;
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
        let tries = self.store.parked_tries(account).await?.unwrap_or_default();
        let wait = PARKED_SECS << tries.min(11);
        tracing::error!(account = account.0, problem, "account is parked");
        self.store.park(account, problem, now, now.plus_secs(wait.min(rules::DAY))).await?;
        Ok(())
    }

    /// Asks the cards of these accounts for the charges that wait; answers which accounts can go on.
    pub async fn ask_cards(&self, accounts: &[AccountId], now: Timestamp) -> Result<Vec<AccountId>, JobError> {
        let open = self.store.intents_open_of(accounts).await?;
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
        // What may not be changed here is somebody else's to ask.
        self.store.refuse_changes().await?;
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
        self.act_on(id, action, now).instrument(tracing::error_span!("account", account = id.0)).await
    }

    async fn act_on(&self, id: AccountId, action: &Action, now: Timestamp) -> Result<Acted, JobError> {
        // Whether the account keeps the action, which waits for a card: it is gone on with, not begun again.
        let mut begun = false;
        let mut stale = 0;
        loop {
            let account = self.load_one(id, Scope::For(action)).await?;
            let name = account.name.clone();
            let waited = account.waiting.as_ref().map(|waiting| waiting.key.clone());
            let reference = self.reference();
            self.refuse_waiting(&account, &reference, now).await?;
            let cx = &reference.context();
            let decided = if begun { rules::settle(account, cx, now) } else { rules::act(account, cx, action, now) };
            let changes = decided
                .map_err(|error| JobError::Unsettleable { account: name.clone(), problem: error.to_string() })?;
            let (outcome, progress) = (changes.outcome, changes.progress);
            let waits = changes.account.waiting.as_ref().map(|waiting| waiting.key.clone());
            // What waited before is another action, also where this one begins to wait right behind it.
            let begins = waits.is_some() && waits != waited;
            // What went on only for another action's sake is not what was asked for, and does not say that it was done.
            let is_of_this = outcome.is_some() || begins || begun;
            let written = match is_of_this {
                true => self.write_one(changes, &reference).await?,
                false => self.unnoted().write_one(changes, &reference).await?,
            };
            if written == Outcome::Stale {
                stale += 1;
                if stale == ROUNDS_MAX {
                    return Err(JobError::Contended(name));
                }
                self.reload_if_moved().await?;
                continue;
            }
            begun |= begins;
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
        let account = self.load_one(id, Scope::For(action)).await?;
        let (name, reference) = (account.name.clone(), self.reference());
        self.refuse_waiting(&account, &reference, now).await?;
        let decided = rules::act(account, &reference.context(), action, now);
        decided.map_err(|error| JobError::Unsettleable { account: name, problem: error.to_string() })
    }

    /// Settles accounts and asks their cards as far as that goes on at once.
    pub async fn settle_and_collect(&self, accounts: &[AccountId], now: Timestamp) -> Result<Tally, JobError> {
        self.settle_and_collect_until(accounts, now, now).await
    }

    /// The same up to a second that may be long gone; cards are asked at `now`.
    pub async fn settle_and_collect_until(
        &self,
        accounts: &[AccountId],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Tally, JobError> {
        crate::collect_payments::collect(self, accounts, (until, now), None).await
    }

    /// Authorises a new card.
    pub async fn authorise(&self, card: &str) -> Result<bool, JobError> {
        self.store.refuse_changes().await?;
        Ok(self.cards.authorise(card).await?)
    }

    /// Nothing is decided on an account past the slot of a run that it waits for.
    async fn refuse_waiting(&self, account: &Account, reference: &Reference, now: Timestamp) -> Result<(), JobError> {
        let slots = self.waited_for(now).await?;
        let name = || account.name.clone();
        match reference.wait_of(account, &slots, now) {
            None => Ok(()),
            Some(Wait::Held(hold)) => Err(JobError::Held { account: name(), run: hold.run.0, job: hold.job.clone() }),
            Some(Wait::Paused(job)) => Err(JobError::Paused { account: name(), job: job.job.clone() }),
            Some(Wait::Unopened(slot)) => Err(JobError::Opening { account: name(), job: slot.job, slot: slot.slot }),
        }
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
        self.store.tell_note(&changes);
        let commit = commit_of(changes, &reference.context());
        let stamp = Stamp { recorded_at: self.clock.now(), run: None, revision: reference.revision };
        let outcomes = self.write(&[commit], stamp, None).await?;
        Ok(outcomes.into_iter().next().unwrap_or(Outcome::Stale))
    }

    /// Commits, and counts what then stands.
    async fn write(
        &self,
        commits: &[Commit],
        stamp: Stamp,
        progress: Option<&ShardProgress>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let began = Stopwatch::start();
        let outcomes = self.store.commit(commits, stamp, progress).await?;
        self.meter.commits.observe("", began.elapsed());
        self.meter.committed(commits, &outcomes);
        Ok(outcomes)
    }
}

/// Decides what is due on an account up to `until`. A bug that panics on one must not stop the others.
pub(crate) fn settled(account: Account, cx: &Context<'_>, until: Timestamp) -> Result<Commit, String> {
    let decide = || rules::settle(account, cx, until).map(|changes| commit_of(changes, cx));
    let decided = catch_unwind(AssertUnwindSafe(decide)).map_err(|_| "the rules panicked".to_owned())?;
    decided.map_err(|error| error.to_string())
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
