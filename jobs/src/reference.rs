//! What holds for all accounts, read once for many of them: price lists and outages.

use rules::{Context, Outage, Policy, PriceBook};
use store::{Revision, Store, StoreError};

#[derive(Debug)]
pub struct Reference {
    pub revision: Revision,
    prices: PriceBook,
    outages: Vec<Outage>,
}

impl Reference {
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        // The revision first: what changes behind it is read, and refused with it.
        let revision = store.revision().await?;
        Ok(Self { revision, prices: store.price_book().await?, outages: store.outages().await? })
    }

    pub fn context<'a>(&'a self, policy: &'a Policy) -> Context<'a> {
        Context { prices: &self.prices, policy, outages: &self.outages }
    }
}
