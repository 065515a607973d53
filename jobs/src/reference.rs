//! What holds for all accounts, read once for many of them: price lists, outages, held runs, paused jobs and a
//! hoster's numbers.

use std::sync::Arc;

use rules::{Account, Context, Outage, Policy, PriceBook, Timestamp, due_seconds};
use store::{Hold, JobControl, Revision, Store, StoreError};

use crate::slots::Unopened;

#[derive(Debug)]
pub struct Reference {
    pub revision: Revision,
    prices: PriceBook,
    outages: Vec<Outage>,
    holds: Vec<Hold>,
    /// Jobs that are paused.
    pauses: Vec<JobControl>,
    pub policy: Arc<Policy>,
}

impl Reference {
    /// With `policy` where no daemon has served the books.
    pub async fn read(store: &Store, policy: &Arc<Policy>) -> Result<Self, StoreError> {
        // The revision first: what changes behind it is read, and refused with it.
        let revision = store.revision().await?;
        let (prices, outages, holds) = (store.price_book().await?, store.outages().await?, store.holds().await?);
        let mut pauses = store.job_controls().await?;
        pauses.retain(JobControl::is_paused);
        let policy = store.policy().await?.map_or_else(|| policy.clone(), Arc::new);
        Ok(Self { revision, prices, outages, holds, pauses, policy })
    }

    pub fn context(&self) -> Context<'_> {
        Context { prices: &self.prices, policy: &self.policy, outages: &self.outages }
    }

    /// What an account waits for at `until`, of held runs, paused jobs and `slots` that passed: nothing that is due is
    /// settled on it.
    pub fn wait_of<'a>(&'a self, account: &Account, slots: &'a [Unopened], until: Timestamp) -> Option<Wait<'a>> {
        if self.holds.is_empty() && self.pauses.is_empty() && slots.is_empty() {
            return None;
        }
        let due = due_seconds(account, &self.context());
        let is_due = |kind| due.iter().any(|(other, at)| *other == kind && at.is_some_and(|at| at <= until));
        let held = self.holds.iter().find(|hold| hold.kind.is_some_and(is_due)).map(Wait::Held);
        let paused = || self.pauses.iter().find(|pause| pause.due_kind.is_some_and(is_due)).map(Wait::Paused);
        held.or_else(paused).or_else(|| slots.iter().find(|slot| is_due(slot.kind)).map(Wait::Unopened))
    }
}

/// What an account with something due waits for.
#[derive(Clone, Copy, Debug)]
pub enum Wait<'a> {
    /// An admin's release.
    Held(&'a Hold),
    /// The job, until it is taken back into work.
    Paused(&'a JobControl),
    /// The preview, which may hold it.
    Unopened(&'a Unopened),
}
