//! A host on a machine whose clock cannot be relied on, and its daemon from start to end.

use std::collections::HashSet;

use jobs::{Clock, ClockWatch, JOBS, JobError, Office, Scheduler};
use rules::{AccountId, Timestamp, TransferKind};
use store::{LedgerRow, RunState, Store, StoreError};

use crate::support::dice::Dice;
use crate::support::walk::history::{Books, Entry, Template, Verb, all_accounts, office_on};

/// Who works off the runs.
const WORKER: &str = "walk";

/// What the command line asks of the last sign of life before it changes anything.
const ALIVE_SECS: i64 = 120;

/// Jumps that are believed, as the guard's own tests say.
const BELIEVED: std::ops::RangeInclusive<i64> = -300..=rules::HOUR;

/// A daemon from its start to its end.
struct Life {
    office: Office,
    watch: ClockWatch,
    scheduler: Scheduler,
}

pub struct Host {
    books: Books,
    life: Life,
    pub dice: Dice,
    pub history: Vec<Entry>,
    /// The latest second that was ever believed.
    believed: Timestamp,
    outages: usize,
}

impl Host {
    pub async fn new(template: &Template, start: Timestamp, dice: Dice) -> Self {
        let books = Books::new(template, start).await;
        let life = Life::begin(&books.store, start).await;
        let mut host = Self { books, life, dice, history: Vec::new(), believed: start, outages: 0 };
        host.tick().await;
        host
    }

    pub fn wall(&self) -> Timestamp {
        self.life.office.clock.now()
    }

    pub fn store(&self) -> &Store {
        &self.books.store
    }

    pub fn office(&self) -> &Office {
        &self.life.office
    }

    /// One tick of the daemon, with all work that it opens; whether the clock is believed.
    pub async fn tick(&mut self) -> bool {
        self.try_tick().await.expect("no fault")
    }

    async fn try_tick(&mut self) -> Result<bool, JobError> {
        let Life { office, watch, scheduler } = &mut self.life;
        let now = match watch.look(&office.store, &office.clock).await {
            Ok(now) => now,
            Err(JobError::Clock(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        self.believed = self.believed.max(now);
        let ticked = scheduler.tick(office, now).await;
        let noted = self.note_outages().await;
        if let Some((_, problem)) = ticked.problems.into_iter().next() {
            return Err(problem);
        }
        noted?;
        self.work_off(now).await?;
        Ok(true)
    }

    /// What an outage is, is history: it goes into it before anything that happens later.
    async fn note_outages(&mut self) -> Result<(), JobError> {
        let known = self.store().outages().await?;
        for outage in known.iter().skip(self.outages) {
            self.history.push(Entry { at: outage.to, verb: Verb::Outage(*outage) });
        }
        self.outages = known.len();
        Ok(())
    }

    async fn work_off(&mut self, now: Timestamp) -> Result<(), JobError> {
        let office = &self.life.office;
        office.reload_if_moved().await?;
        let mut awaiting = Vec::new();
        for run in office.store.runs_unfinished().await? {
            assert_ne!(run.state, RunState::Held, "nothing is held without a band");
            let job = JOBS.iter().find(|job| job.name == run.job).expect("a job");
            awaiting.extend(jobs::work_run(office, job, &run, WORKER).await?.awaiting);
        }
        office.settle_and_collect(&awaiting, now).await?;
        Ok(())
    }

    /// A tick that dies after so many statements of its next transaction, and the daemon with it.
    pub async fn die_in_a_tick(&mut self, statements: u32) {
        self.store().cut_after(statements);
        match self.try_tick().await {
            Ok(_) | Err(JobError::Store(StoreError::CutOff)) => {}
            Err(other) => panic!("{other}"),
        }
    }

    /// Time passes, and the daemon looks at its end, or sleeps through it.
    pub fn pass(&mut self, secs: i64) {
        let clock = &self.life.office.clock;
        clock.advance_to(clock.now().plus_secs(secs));
    }

    /// The daemon starts again after so long; its clock is confirmed where it asks.
    pub async fn start_again(&mut self, off_secs: i64) {
        let doubted = self.store().clock_doubts().await.expect("readable").len() == 1;
        let last = self.store().last_alive().await.expect("readable").expect("it lived");
        let now = self.wall().plus_secs(off_secs);
        self.books.open_again(now).await;
        self.life = Life::begin(&self.books.store, now).await;
        self.note_outages().await.expect("readable");
        let silence = now.secs() - last.secs();
        let believed = if doubted { BELIEVED } else { -300..=45 * rules::DAY }.contains(&silence);
        assert_eq!(self.tick().await, believed, "a start after {silence} s, doubted before: {doubted}");
        if !believed && self.stands_still().await {
            self.confirm().await;
        }
        // The second one finds the runs of the first done.
        assert!(self.tick().await);
    }

    /// The clock is set while no time passes. What is beyond what is believed changes nothing until somebody says that
    /// it is right, or it is.
    pub async fn jump(&mut self, secs: i64) {
        // What it is compared with is taken anew each minute.
        self.pass(61);
        assert!(self.tick().await);
        let before = self.ledger().await;
        self.life.office.clock.jump(secs);
        if BELIEVED.contains(&secs) {
            assert!(self.tick().await, "{secs}");
        } else {
            assert!(self.stands_still().await, "a jump of {secs} s does not end by itself");
            match self.dice.below(4) {
                0 => self.start_again(0).await,
                1 => self.confirm().await,
                _ => {
                    self.life.office.clock.jump(-secs);
                    assert!(self.tick().await, "{secs} and back");
                }
            }
        }
        // Whatever the clock says, what was charged stays charged.
        let after = self.ledger().await;
        before.iter().for_each(|row| assert!(after.contains(row), "a jump of {secs} s took back {row:?}"));
    }

    /// Ticks of a daemon that doubts its clock book nothing. Whether it doubts it still: a start that was a second
    /// before what is believed has come there by itself.
    async fn stands_still(&mut self) -> bool {
        let before = self.ledger().await;
        for _ in 0..2 {
            if self.tick().await {
                return false;
            }
            assert!(self.ledger().await == before, "something was booked by a clock that nobody believes");
            self.pass(1);
        }
        true
    }

    async fn ledger(&self) -> Vec<LedgerRow> {
        self.store().ledger(None).await.expect("the ledger")
    }

    async fn confirm(&mut self) {
        assert!(!self.may_act().await, "the command line changes something by a clock that is doubted");
        let now = self.wall();
        assert!(self.store().clock_confirm(now, "walk").await.expect("confirmed"));
        assert!(self.tick().await, "a confirmed clock is believed");
    }

    /// Whether the command line would change anything now.
    pub async fn may_act(&self) -> bool {
        let (store, now) = (self.store(), self.wall());
        let alive = store.last_alive().await.expect("readable");
        store.clock_doubts().await.expect("readable").is_empty()
            && alive.is_some_and(|last| (-ALIVE_SECS..=ALIVE_SECS).contains(&(now.secs() - last.secs())))
    }

    /// The second at which something counts on an account: never before its settled one (rule 11.6).
    pub async fn counts_at(&self, account: AccountId) -> Timestamp {
        let loaded = self.store().accounts_load(&[account], store::Scope::Unfinished).await.expect("loaded");
        let account = loaded.into_iter().next().expect("an account").expect("readable");
        self.wall().max(account.settled_at)
    }

    /// Whether an account is settled to a second or beyond.
    pub async fn is_settled_to(&self, at: Timestamp) -> bool {
        let accounts = self.store().accounts_by_name("", 10).await.expect("accounts");
        accounts.iter().any(|account| account.settled_at >= at)
    }

    /// The names of an account's services.
    pub async fn services(&self, account: AccountId) -> Vec<String> {
        let loaded = self.store().accounts_load(&[account], store::Scope::All).await.expect("loaded");
        let account = loaded.into_iter().next().expect("an account").expect("readable");
        account.services.into_iter().map(|service| service.name).collect()
    }

    /// Nothing counts for a second that no believed clock has reached, and nothing is booked twice.
    pub async fn assert_nothing_ahead(&self) {
        let mut periods = HashSet::new();
        for row in self.ledger().await {
            assert!(row.effective_at <= self.believed.plus_secs(5), "ahead of {}: {row:?}", self.believed);
            if let (TransferKind::Period, Some(period)) = (row.kind, row.period) {
                assert!(periods.insert((row.service.clone(), period.from)), "twice: {row:?}");
            }
        }
    }

    /// Everything due is done; the second up to which both hosts are settled.
    pub async fn finish(&mut self) -> Timestamp {
        assert!(self.tick().await);
        let mut end = self.wall();
        for account in all_accounts(self.store()).await {
            end = end.max(self.counts_at(account).await);
        }
        // A clock that was set back may have left money behind it.
        end = self.history.iter().map(|entry| entry.at).fold(end, Timestamp::max);
        self.office().settle_and_collect(&all_accounts(self.store()).await, end).await.expect("settled");
        end
    }
}

impl Life {
    /// In the order of `serve`: the watch looks before anything else, and a silence is known before its slots are.
    async fn begin(store: &Store, now: Timestamp) -> Self {
        let clock = Clock::simulated(now);
        let mut watch = ClockWatch::start(store, &clock, WORKER).await.expect("a watch");
        if let Ok(now) = watch.look(store, &clock).await {
            jobs::enrol(store, now).await.expect("enrolled");
            jobs::end_silence(store, now).await.expect("recorded");
        }
        Self { office: office_on(store, clock).await, watch, scheduler: Scheduler::new(WORKER, now) }
    }
}
