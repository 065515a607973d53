//! What holds for all accounts, read once for many of them: price lists, outages and held runs.

use rules::{Account, Context, Outage, Policy, PriceBook, Timestamp, due_seconds};
use store::{Hold, Revision, Store, StoreError};

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

    /// The held run that an account waits for at `until`: nothing past its slot is settled on it.
    pub fn hold_on(&self, account: &Account, policy: &Policy, until: Timestamp) -> Option<&Hold> {
        if self.holds.is_empty() {
            return None;
        }
        let due = due_seconds(account, &self.context(policy));
        let is_due = |kind| due.iter().any(|(other, at)| *other == kind && at.is_some_and(|at| at <= until));
        self.holds.iter().find(|hold| hold.kind.is_some_and(is_due))
    }
}
