//! Which account has which name, known for a second: a name never changes, but a standby that takes over may not know
//! the last ones.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jobs::Stopwatch;
use rules::AccountId;
use store::Store;

const KNOWN: Duration = Duration::from_secs(1);
/// Beyond, all are looked up anew: nobody fills the memory.
const MOST: usize = 10_000;

#[derive(Default)]
pub struct KnownNames(Mutex<Names>);

#[derive(Default)]
struct Names {
    ids: HashMap<String, (Stopwatch, AccountId)>,
    names: HashMap<AccountId, (Stopwatch, String)>,
}

impl KnownNames {
    pub async fn id_of(&self, store: &Store, name: &str) -> store::Result<Option<AccountId>> {
        if let Some(id) = self.names(|known| fresh(known.ids.get(name))) {
            return Ok(Some(id));
        }
        let found = store.account_id(name).await?;
        Ok(found.inspect(|id| self.keep(*id, name)))
    }

    pub async fn name_of(&self, store: &Store, id: AccountId) -> store::Result<Option<String>> {
        if let Some(name) = self.names(|known| fresh(known.names.get(&id))) {
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
            known.ids.insert(name.to_owned(), (Stopwatch::start(), id));
            known.names.insert(id, (Stopwatch::start(), name.to_owned()));
        });
    }

    fn names<T>(&self, look: impl FnOnce(&mut Names) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn fresh<T: Clone>(known: Option<&(Stopwatch, T)>) -> Option<T> {
    known.filter(|(since, _)| since.elapsed() < KNOWN).map(|(_, what)| what.clone())
}
