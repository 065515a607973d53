//! Deposits that come at the same time are booked together: they are loaded, decided and committed once for all of
//! them. Nobody waits for more to come: whoever comes while others are booked is booked with the next ones.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use rules::{Account, AccountId, Changes, Micros, Progress, Receipt, ReceiptKind, Standing, Timestamp};
use store::{
    COMING_RECEIPT, Coming, Commit, NewReceipt, Note, Outcome, ReceiptRow, Scope, Stamp, StoreError, Together, Told,
};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::clock::Stopwatch;
use crate::error::JobError;
use crate::office::{Office, settled};

/// Booked at once at most.
const MOST: usize = 128;

/// Says of an account as it was and what is about to be committed what that comes to.
pub type TellsOf = Box<dyn Fn(&Account, &Changes, ReceiptRow) -> Told + Send + Sync>;

/// Money that comes for an account, by a request of its own.
pub struct Deposit {
    pub account: AccountId,
    pub provider: &'static str,
    pub payment: String,
    pub amount: Micros,
    pub note: Arc<Note>,
    pub tells: TellsOf,
}

/// What became of a deposit here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paid {
    Booked,
    /// It is not as simple as that, and nothing was written: it is known, refused, or its account waits for something.
    NotHere,
    /// It may be booked or not: the database did not say.
    Unknown,
}

struct Waiting {
    deposit: Deposit,
    paid: oneshot::Sender<Paid>,
}

/// Where deposits wait for their turn.
#[derive(Default)]
pub struct Till {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
}

impl Till {
    fn wait(&self, deposit: Deposit) -> oneshot::Receiver<Paid> {
        let (paid, told) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Waiting { deposit, paid });
        told
    }

    /// Those whose turn it is: of each account, each payment and each request one.
    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut accounts, mut payments, mut requests) = (HashSet::new(), HashSet::new(), HashSet::new());
        let mut taken = Vec::new();
        let mut rest = Vec::new();
        for one in mem::take(&mut *waiting) {
            let Deposit { account, provider, payment, note, .. } = &one.deposit;
            let request = note.repeatable().map(|request| (request.key, request.idempotency_key.clone()));
            let is_alone = taken.len() < MOST
                && !accounts.contains(account)
                && !request.as_ref().is_some_and(|request| requests.contains(request))
                && payments.insert((*provider, payment.clone()))
                && accounts.insert(*account);
            if is_alone {
                requests.extend(request);
            }
            if is_alone { taken.push(one) } else { rest.push(one) }
        }
        *waiting = rest;
        taken
    }

    /// Where the database is out of order, nobody waits here for others to find that out.
    fn send_all_away(&self) {
        for one in mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner)) {
            let _ = one.paid.send(Paid::NotHere);
        }
    }
}

impl Office {
    /// Books a deposit together with those that wait at the same time.
    pub async fn deposit(&self, deposit: Deposit) -> Paid {
        let mut told = self.till.wait(deposit);
        loop {
            tokio::select! {
                biased;
                // Whoever had the turn died with it.
                paid = &mut told => return paid.unwrap_or(Paid::Unknown),
                _turn = self.till.turn.lock() => {
                    let (deposits, senders): (Vec<_>, Vec<_>) =
                        self.till.take().into_iter().map(|one| (one.deposit, one.paid)).unzip();
                    // It is work for others as well, and no part of this request.
                    let span = tracing::error_span!(parent: None, "deposits", deposits = deposits.len());
                    let paid = self.unnoted().book(&deposits).instrument(span).await;
                    for (sender, paid) in senders.into_iter().zip(paid) {
                        let _ = sender.send(paid);
                    }
                }
            }
        }
    }

    /// What became of each of them.
    pub(crate) async fn book(&self, deposits: &[Deposit]) -> Vec<Paid> {
        let mut paid = vec![Paid::NotHere; deposits.len()];
        let mut decided = match self.decide_deposits(deposits).await {
            Ok(decided) => decided,
            // Whoever asked goes by the other way, and is told there.
            Err(error) => {
                tracing::debug!(%error, "deposits cannot be decided together");
                self.till.send_all_away();
                return paid;
            }
        };
        while !decided.commits.is_empty() {
            match self.write_deposits(&decided).await {
                Ok(Together::Written) => {
                    decided.places.iter().for_each(|place| paid[*place] = Paid::Booked);
                    let _tried_again_in_time = self.store.unpark(&decided.accounts()).await;
                    return paid;
                }
                // The others stand as they were decided.
                Ok(Together::Moved(moved)) => moved.iter().rev().for_each(|place| decided.leave(*place)),
                // Rolled back: one of them was faster elsewhere.
                Err(StoreError::Constraint { .. }) => return paid,
                Err(error) => {
                    tracing::debug!(%error, "deposits are not committed, or nobody knows");
                    // Of the others it is known that nothing was written.
                    if matches!(error, StoreError::Driver(_)) {
                        decided.places.iter().for_each(|place| paid[*place] = Paid::Unknown);
                    }
                    self.till.send_all_away();
                    return paid;
                }
            }
        }
        // Whoever moved them may have been what holds for all.
        let _next_ones_see_it = self.reload_if_moved().await;
        paid
    }

    /// Commits, and counts what then stands.
    async fn write_deposits(&self, decided: &Decided<'_>) -> Result<Together, StoreError> {
        let Decided { commits, coming, stamp, .. } = decided;
        let began = Stopwatch::start();
        let together = self.store.deposits_commit(commits, coming, *stamp).await?;
        self.meter.commits.observe("", began.elapsed());
        if together == Together::Written {
            self.meter.committed(commits, &vec![Outcome::Written; commits.len()]);
        }
        Ok(together)
    }

    /// Decides what all of them come to, leaving those that are not as simple as that, and has their notes say so.
    async fn decide_deposits<'d>(&self, deposits: &'d [Deposit]) -> Result<Decided<'d>, JobError> {
        let accounts: Vec<AccountId> = deposits.iter().map(|deposit| deposit.account).collect();
        let loaded = self.store.accounts_load(&accounts, Scope::Unfinished).await?;
        let mut loaded: HashMap<AccountId, Account> =
            loaded.into_iter().filter_map(|account| account.ok().map(|account| (account.id, account))).collect();
        let of_them = deposits.iter().map(|deposit| (deposit.provider, deposit.payment.as_str()));
        let known = self.store.deposits_known(of_them).await?;
        // Not the second at which they came: they may have waited for long.
        let now = self.clock.trusted()?;
        let (slots, reference) = (self.waited_for(now).await?, self.reference());
        let stamp = Stamp { recorded_at: now, run: None, revision: reference.revision };
        let mut decided = Decided { places: Vec::new(), commits: Vec::new(), coming: Vec::new(), stamp };
        for (place, deposit) in deposits.iter().enumerate() {
            let is_known = known.contains(&(deposit.provider.to_owned(), deposit.payment.clone()));
            let Some(account) = loaded.remove(&deposit.account).filter(|_| !is_known) else { continue };
            if account.standing == Standing::Closed
                || account.settled_at > now
                || !deposit.amount.is_whole_minor(account.currency)
                || reference.wait_of(&account, &slots, now).is_some()
            {
                continue;
            }
            let before = account.clone();
            let Ok(commit) = settled(deposit.laid_before(account, now), &reference.context(), now) else { continue };
            let took_in = commit.changes.used_receipts.iter().find(|(id, _)| *id == COMING_RECEIPT).map(|(_, at)| *at);
            let is_whole =
                commit.changes.progress == Progress::Settled && commit.changes.account.standing != Standing::Closed;
            let Some(effective_at) = took_in.filter(|_| is_whole) else { continue };
            deposit.tell(&before, &commit.changes, (now, effective_at));
            decided.coming.push(deposit.coming(now));
            decided.commits.push(commit);
            decided.places.push(place);
        }
        Ok(decided)
    }
}

/// What is about to be committed, and where among the deposits each stands.
struct Decided<'d> {
    places: Vec<usize>,
    commits: Vec<Commit>,
    coming: Vec<Coming<'d>>,
    stamp: Stamp,
}

impl Decided<'_> {
    fn accounts(&self) -> Vec<AccountId> {
        self.coming.iter().map(|coming| coming.receipt.account).collect()
    }

    /// Leaves one of them to its own way.
    fn leave(&mut self, place: usize) {
        self.places.remove(place);
        self.commits.remove(place);
        self.coming.remove(place);
    }
}

impl Deposit {
    /// The account with the receipt, as if it were kept already.
    fn laid_before(&self, mut account: Account, now: Timestamp) -> Account {
        let provider = self.provider.to_owned();
        let (kind, amount) = (ReceiptKind::Deposit, self.amount);
        account.receipts.push(Receipt { id: COMING_RECEIPT, provider, kind, amount, received_at: now });
        account
    }

    fn tell(&self, before: &Account, changes: &Changes, (received_at, effective_at): (Timestamp, Timestamp)) {
        let account = &changes.account;
        let receipt = ReceiptRow {
            id: COMING_RECEIPT,
            account: account.name.clone(),
            currency: account.currency,
            provider: self.provider.to_owned(),
            payment: self.payment.clone(),
            amount: self.amount,
            received_at,
            effective_at: Some(effective_at),
        };
        self.note.tell((self.tells)(before, changes, receipt));
    }

    fn coming(&self, now: Timestamp) -> Coming<'_> {
        let Self { account, provider, payment, amount, note, .. } = self;
        let (account, amount, kind) = (*account, *amount, ReceiptKind::Deposit);
        let receipt = NewReceipt { account, provider, payment, kind, amount, provider_at: None };
        Coming { receipt, received_at: now, note: note.clone() }
    }
}
