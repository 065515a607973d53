//! Which account has which name: a name never changes, so it is looked up once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rules::AccountId;
use store::Store;

/// Beyond, all are looked up anew: nobody fills the memory.
const MOST: usize = 10_000;

#[derive(Default)]
pub struct KnownNames(Mutex<Names>);

#[derive(Default)]
struct Names {
    ids: HashMap<String, AccountId>,
    names: HashMap<AccountId, String>,
}

impl KnownNames {
    pub async fn id_of(&self, store: &Store, name: &str) -> store::Result<Option<AccountId>> {
        if let Some(id) = self.names(|known| known.ids.get(name).copied()) {
            return Ok(Some(id));
        }
        let found = store.account_id(name).await?;
        Ok(found.inspect(|id| self.keep(*id, name)))
    }

    pub async fn name_of(&self, store: &Store, id: AccountId) -> store::Result<Option<String>> {
        if let Some(name) = self.names(|known| known.names.get(&id).cloned()) {
            return Ok(Some(name));
        }
        let found = store.account_name(id).await?;
        Ok(found.inspect(|name| self.keep(id, name)))
    }

    fn keep(&self, id: AccountId, name: &str) {
        self.names(|known| {
            if known.ids.len() >= MOST {
                *known = Names::default();
            }
            known.ids.insert(name.to_owned(), id);
            known.names.insert(id, name.to_owned());
        });
    }

    fn names<T>(&self, look: impl FnOnce(&mut Names) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
