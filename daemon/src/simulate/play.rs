//! Plays a scenario through the real store, jobs and runs, from one second at which anything can happen
//! to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use jobs::{Clock, JOBS, Office, Registered, Wakes};
use providers::{CardScript, ScriptedCards};
use rules::{AccountId, Action, NewAccount, Period, ReceiptKind, Refusal, Standing, Timestamp};
use store::{NewReceipt, Scope, Store};

use crate::input::{Entry, Scenario, ScriptedCard, Verb, Whose};
use crate::simulate::disturb::{Disturbance, Whim};

/// Who works off the runs of a rehearsal.
const WORKER: &str = "simulator";

/// Under which provider scripted money comes.
const PROVIDER: &str = "scenario";

/// What to do at a later second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Errand {
    Job(usize),
    Receipts,
}

/// A refused entry: its number, from 1, and why.
pub type Refused = (usize, Refusal);

pub struct Player<'a> {
    scenario: &'a Scenario,
    office: Office,
    cards: Arc<ScriptedCards>,
    disturbance: Option<Disturbance>,
    /// Errands by second, worked off in this order.
    errands: BTreeMap<(Timestamp, Errand), ()>,
    refused: Vec<Refused>,
    now: Timestamp,
}

impl<'a> Player<'a> {
    /// Sets up an empty store with the scenario's price lists.
    pub async fn new(scenario: &'a Scenario, store: Store, seed: Option<u64>) -> anyhow::Result<Self> {
        let start = scenario.timeline.first().map_or(scenario.until, |entry| entry.at);
        let clock = Clock::simulated(start);
        let later = scenario.timeline.iter().filter_map(|entry| match &entry.verb {
            Verb::SetPrices(plans) => Some((plans, entry.at)),
            _ => None,
        });
        let lists: Vec<_> = std::iter::once((&scenario.plans, Timestamp::BEGINNING)).chain(later).collect();
        store.price_lists_insert(&lists, "scenario", start).await?;
        let cards = Arc::new(ScriptedCards::default());
        let office = Office::open(store, clock, scenario.policy.clone(), cards.clone()).await?;
        office.adopt(&scenario.policy).await?;
        Ok(Self {
            scenario,
            office,
            cards,
            disturbance: seed.map(Disturbance::new),
            errands: BTreeMap::new(),
            refused: Vec::new(),
            now: start.plus_secs(-1),
        })
    }

    /// The cards of this rehearsal, which go on answering after it as its scripts say.
    pub fn cards(&self) -> Arc<ScriptedCards> {
        self.cards.clone()
    }

    /// Plays to the end; answers the refused entries, and the office with its books.
    pub async fn play(mut self, mut progress: impl FnMut(Timestamp)) -> anyhow::Result<(Office, Vec<Refused>)> {
        let scenario = self.scenario;
        let mut entries = scenario.timeline.iter().enumerate().peekable();
        while let Some((at, waking)) = self.next_second(entries.peek().map(|(_, entry)| entry.at)).await? {
            self.now = at;
            self.office.clock.advance_to(at);
            progress(at);
            // Known before anything that is due in it is settled (rule 11.8).
            self.record_outage(at).await?;
            self.wake_jobs(&waking, at).await?;
            while let Some((index, entry)) = entries.next_if(|(_, entry)| entry.at == at) {
                let number = index + 1;
                let played = self.play_entry(number, entry).await.with_context(|| format!("entry {number}"))?;
                if let Err(refusal) = played {
                    self.refused.push((number, refusal));
                }
            }
        }
        self.finish().await?;
        Ok((self.office, self.refused))
    }

    /// The next second at which an entry stands or a job can find anything, and the jobs that wake then.
    async fn next_second(&self, entry: Option<Timestamp>) -> anyhow::Result<Option<(Timestamp, Vec<usize>)>> {
        let mut wakes = Vec::new();
        for (index, job) in JOBS.iter().enumerate() {
            if let Some(slot) = self.next_wake(job).await? {
                wakes.push((self.when_alive(slot), index));
            }
        }
        let errand = self.errands.keys().next().map(|(at, _)| *at);
        let first_wake = wakes.iter().map(|(at, _)| *at).min();
        let next = [entry, errand, first_wake].into_iter().flatten().min();
        let next = next.filter(|at| *at <= self.scenario.until);
        Ok(next.map(|next| {
            let waking = wakes.into_iter().filter(|(at, _)| *at == next).map(|(_, index)| index);
            (next, waking.collect())
        }))
    }

    /// The next slot of a job: any one of the calendar, of a sweep the first at which something is due.
    async fn next_wake(&self, job: &Registered) -> anyhow::Result<Option<Timestamp>> {
        // `verify_books` finds nothing due: a rehearsal checks its books once, at the end.
        let Some(kind) = job.due_kind else { return Ok(None) };
        let from = match job.wakes {
            Wakes::Calendar => Some(self.now),
            Wakes::Sweep => self.office.store.next_due(kind).await?.map(|due| due.plus_secs(-1).max(self.now)),
        };
        Ok(from.and_then(|from| jobs::next_slot(job, from)))
    }

    /// No daemon is alive in an outage: what would be done in it is done at its end.
    fn when_alive(&self, at: Timestamp) -> Timestamp {
        let outages = self.scenario.timeline.iter().filter_map(outage_of);
        outages.fold(at, |at, outage| if outage.contains(at) { outage.to } else { at })
    }

    async fn record_outage(&self, at: Timestamp) -> anyhow::Result<()> {
        let ending = self.scenario.timeline.iter().filter_map(outage_of).find(|outage| outage.to == at);
        if let Some(outage) = ending {
            self.office.store.outage_insert(outage, at).await?;
            self.office.reload().await?;
        }
        Ok(())
    }

    /// Opens and works off the runs that wake at `at`, as far as nothing disturbs them.
    async fn wake_jobs(&mut self, waking: &[usize], at: Timestamp) -> anyhow::Result<()> {
        while let Some(entry) = self.errands.first_entry().filter(|entry| entry.key().0 <= at) {
            let (_, errand) = *entry.key();
            entry.remove();
            match errand {
                Errand::Job(index) => self.run_job(&JOBS[index], at).await?,
                Errand::Receipts => self.work_off_receipts(at).await?,
            }
        }
        for &index in waking {
            let job = &JOBS[index];
            match self.disturbance.as_mut().map(Disturbance::of_run) {
                None => self.run_job(job, at).await?,
                Some(Whim::Skipped) => {}
                Some(Whim::Late(secs)) => {
                    let later = self.when_alive(at.plus_secs(secs));
                    self.errands.insert((later, Errand::Job(index)), ());
                }
                Some(Whim::Twice) => {
                    self.run_job(job, at).await?;
                    self.work_off_again(job, at).await?;
                }
                Some(Whim::ByTwoAtOnce) => self.work_off_by_two(job, at).await?,
                Some(Whim::CutOff(statements)) => {
                    self.office.store.cut_after(statements);
                    match self.run_job(job, at).await {
                        Ok(()) => {}
                        Err(error) if is_cut_off(&error) => {}
                        Err(error) => return Err(error),
                    }
                    // A cut that no statement reached must not meet the next commit.
                    self.office.store.cut_after(u32::MAX);
                }
                Some(Whim::None) => self.run_job(job, at).await?,
            }
        }
        Ok(())
    }

    async fn run_job(&mut self, job: &'static Registered, at: Timestamp) -> anyhow::Result<()> {
        let run = match job.wakes {
            Wakes::Calendar => jobs::open_slot(&self.office, job, at).await?,
            Wakes::Sweep => jobs::open_sweep(&self.office, job, at).await?,
        };
        let mut awaiting = Vec::new();
        if let Some(run) = run {
            awaiting = jobs::work_run(&self.office, job, &run, WORKER).await?.awaiting;
        }
        // A run that was cut off is taken up by the next wake.
        for run in self.office.store.runs_unfinished().await?.iter().filter(|run| run.job == job.name) {
            awaiting.extend(jobs::work_run(&self.office, job, run, WORKER).await?.awaiting);
        }
        self.office.settle_and_collect(&awaiting, at).await?;
        Ok(())
    }

    /// The job's work once more, as if its wake had come twice.
    async fn work_off_again(&mut self, job: &Registered, at: Timestamp) -> anyhow::Result<()> {
        let all = self.all_accounts().await?;
        for batch in all.chunks(jobs::BATCH_ACCOUNTS) {
            (job.work)(&self.office, batch, at, None).await?;
        }
        Ok(())
    }

    /// Two workers load and decide on the same accounts before either commits.
    async fn work_off_by_two(&mut self, job: &'static Registered, at: Timestamp) -> anyhow::Result<()> {
        let all = self.all_accounts().await?;
        for batch in all.chunks(jobs::BATCH_ACCOUNTS) {
            let first = self.office.decide(batch, at).await?;
            let second = self.office.decide(batch, at).await?;
            self.office.commit(first, None).await?;
            let (_, stale) = self.office.commit(second, None).await?;
            (job.work)(&self.office, &stale, at, None).await?;
        }
        self.run_job(job, at).await
    }

    async fn all_accounts(&self) -> anyhow::Result<Vec<AccountId>> {
        let Some((_, last)) = self.office.store.account_ids_range().await? else { return Ok(Vec::new()) };
        Ok(self.office.store.account_ids(AccountId(0), last, u32::MAX).await?)
    }

    /// Takes in what came and is not in the books; disturbed, twice and in another order.
    async fn work_off_receipts(&mut self, at: Timestamp) -> anyhow::Result<()> {
        let mut accounts = self.office.store.accounts_with_receipts(u32::MAX).await?;
        if let Some(disturbance) = &mut self.disturbance {
            disturbance.shuffle(&mut accounts);
            accounts.extend_from_within(..);
        }
        for account in accounts {
            self.office.settle_and_collect(&[account], at).await?;
        }
        Ok(())
    }

    /// Everything due up to and including the scenario's end.
    async fn finish(&mut self) -> anyhow::Result<()> {
        let until = self.scenario.until;
        self.office.clock.advance_to(until);
        self.disturbance = None;
        for batch in self.all_accounts().await?.chunks(jobs::BATCH_ACCOUNTS) {
            self.office.settle_and_collect(batch, until).await?;
        }
        Ok(())
    }

    async fn play_entry(&mut self, number: usize, entry: &Entry) -> anyhow::Result<Result<(), Refusal>> {
        match &entry.verb {
            Verb::SetPrices(_) | Verb::Outage { .. } => Ok(Ok(())),
            Verb::OpenAccount { account, currency, trial, resume_on_deposit, card } => {
                let card = match card {
                    Some(script) => Some((account.clone(), self.authorise(account, *script).await?)),
                    None => None,
                };
                let (name, currency) = (account.clone(), *currency);
                let new = NewAccount { name, currency, trial: *trial, resume_on_deposit: *resume_on_deposit, card };
                self.office.open_account(new, entry.at).await?;
                Ok(Ok(()))
            }
            Verb::Card { account, card, new } => match self.office.store.account_id(account).await? {
                Some(id) => self.play_card(id, account, *card, *new, entry.at).await,
                None => Ok(Err(Refusal::NotFound)),
            },
            Verb::Deposit { account, amount } => {
                let Some(id) = self.office.store.account_id(account).await? else { return Ok(Err(Refusal::NotFound)) };
                let started = self.office.act(id, &Action::StartDeposit { amount: *amount }, entry.at).await?;
                if started.is_ok() {
                    self.receive(number, id, ReceiptKind::Deposit, *amount, entry.at).await?;
                }
                Ok(started)
            }
            Verb::Dispute { account, amount } => match self.office.store.account_id(account).await? {
                Some(id) => {
                    self.receive(number, id, ReceiptKind::Dispute, *amount, entry.at).await?;
                    Ok(Ok(()))
                }
                None => Ok(Err(Refusal::NotFound)),
            },
            Verb::Act { whose, action } => {
                let account = match whose {
                    Whose::Account(name) => self.office.store.account_id(name).await?,
                    Whose::Service(name) => self.office.store.service_owner(name).await?,
                };
                match account {
                    Some(id) => Ok(self.office.act(id, action, entry.at).await?),
                    None => Ok(Err(Refusal::NotFound)),
                }
            }
        }
    }

    async fn authorise(&self, account: &str, script: ScriptedCard) -> anyhow::Result<bool> {
        self.cards.script(account, script_of(script));
        Ok(self.office.authorise(account).await?)
    }

    async fn play_card(
        &mut self,
        id: AccountId,
        name: &str,
        card: Option<ScriptedCard>,
        new: bool,
        at: Timestamp,
    ) -> anyhow::Result<Result<(), Refusal>> {
        // What is due by now is tried with the card as it was.
        self.office.settle_and_collect(&[id], at).await?;
        let Some(script) = card else { return Ok(self.office.act(id, &Action::RemoveCard, at).await?) };
        let account = self.office.store.accounts_load(&[id], Scope::Unfinished).await?.pop();
        let account = account.ok_or_else(|| anyhow::anyhow!("account `{name}` is gone"))??;
        if account.standing == Standing::Closed {
            return Ok(Err(Refusal::NotAllowed));
        }
        if new || account.card.is_none() {
            let authorised = self.authorise(name, script).await?;
            let action = Action::SaveCard { card: name.to_owned(), authorised };
            return Ok(self.office.act(id, &action, at).await?);
        }
        self.cards.script(name, script_of(script));
        Ok(Ok(()))
    }

    /// Keeps the proof of a payment, and takes it in at once or, disturbed, some time later.
    async fn receive(
        &mut self,
        number: usize,
        account: AccountId,
        kind: ReceiptKind,
        amount: rules::Micros,
        at: Timestamp,
    ) -> anyhow::Result<()> {
        let payment = format!("entry-{number}");
        let receipt = NewReceipt { account, provider: PROVIDER, payment: &payment, kind, amount, provider_at: None };
        self.office.store.receipt_insert(&receipt, at).await?;
        match self.disturbance.as_mut().map(Disturbance::delay_of_receipt) {
            None => self.work_off_receipts(at).await,
            Some(secs) => {
                self.office.store.receipt_insert(&receipt, at.plus_secs(secs)).await?;
                self.errands.insert((self.when_alive(at.plus_secs(secs)), Errand::Receipts), ());
                Ok(())
            }
        }
    }
}

fn outage_of(entry: &Entry) -> Option<Period> {
    match entry.verb {
        Verb::Outage { since } => Some(Period::new(since, entry.at)),
        _ => None,
    }
}

fn script_of(card: ScriptedCard) -> CardScript {
    match card {
        ScriptedCard::Succeeds => CardScript::Succeeds,
        ScriptedCard::Fails => CardScript::Fails,
    }
}

fn is_cut_off(error: &anyhow::Error) -> bool {
    let job = error.downcast_ref::<jobs::JobError>();
    matches!(job, Some(jobs::JobError::Store(store::StoreError::CutOff)))
}
