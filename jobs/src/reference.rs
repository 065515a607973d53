//! What holds for all accounts, read once for many of them: price lists, outages and held runs.

use rules::{Account, Context, Outage, Policy, PriceBook, Timestamp, due_seconds};
use store::{Hold, Revision, Store, StoreError};

use crate::slots::Unopened;

#[derive(Debug)]
pub struct Reference {
    pub revision: Revision,
    prices: PriceBook,
    outages: Vec<Outage>,
    holds: Vec<Hold>,
}

impl Reference {
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        // The revision first: what changes behind it is read, and refused with it.
        let revision = store.revision().await?;
        let (prices, outages, holds) = (store.price_book().await?, store.outages().await?, store.holds().await?);
        Ok(Self { revision, prices, outages, holds })
    }

    pub fn context<'a>(&'a self, policy: &'a Policy) -> Context<'a> {
        Context { prices: &self.prices, policy, outages: &self.outages }
    }

    /// What an account waits for at `until`, of held runs and of `slots` that passed: nothing past the slot is
    /// settled on it.
    pub fn wait_of<'a>(
        &'a self,
        account: &Account,
        policy: &Policy,
        slots: &'a [Unopened],
        until: Timestamp,
    ) -> Option<Wait<'a>> {
        if self.holds.is_empty() && slots.is_empty() {
            return None;
        }
        let due = due_seconds(account, &self.context(policy));
        let is_due = |kind| due.iter().any(|(other, at)| *other == kind && at.is_some_and(|at| at <= until));
        let held = self.holds.iter().find(|hold| hold.kind.is_some_and(is_due)).map(Wait::Held);
        held.or_else(|| slots.iter().find(|slot| is_due(slot.kind)).map(Wait::Unopened))
    }
}

/// What an account with something due waits for.
#[derive(Clone, Copy, Debug)]
pub enum Wait<'a> {
    /// An admin's release.
    Held(&'a Hold),
    /// The preview, which may hold it.
    Unopened(&'a Unopened),
}
