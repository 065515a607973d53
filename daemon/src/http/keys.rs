//! Who asks: the key in `Authorization: Bearer`, looked up in the books and known for a second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use jobs::Stopwatch;
use rules::Timestamp;
use store::{ApiKey, Store};

use crate::http::problem::Problem;
use crate::http::secrets;

/// A revoked key is refused after this at the latest.
const KNOWN: Duration = Duration::from_secs(1);
const MOST: usize = 10_000;

#[derive(Default)]
pub struct KnownKeys(Mutex<HashMap<String, (Stopwatch, ApiKey)>>);

impl KnownKeys {
    /// The key that the request carries, if it is good. All others look the same.
    pub async fn of(&self, store: &Store, headers: &HeaderMap, now: Timestamp) -> Result<ApiKey, Problem> {
        let refuse = || {
            let detail = "a request carries a key, as `Authorization: Bearer bk_…`; it is missing, unknown, expired or \
                revoked";
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
        };
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let text = given.next().and_then(|text| text.to_str().ok()).ok_or_else(refuse)?;
        if given.next().is_some() {
            return Err(refuse());
        }
        let (scheme, text) = text.split_once(' ').ok_or_else(refuse)?;
        let prefix = secrets::prefix_of(text).filter(|_| scheme.eq_ignore_ascii_case("bearer")).ok_or_else(refuse)?;
        let key = match self.known(prefix) {
            Some(key) => key,
            None => {
                let key = store.key(prefix).await?.ok_or_else(refuse)?;
                self.keep(&key);
                key
            }
        };
        if secrets::is_key(&key, text, now) { Ok(key) } else { Err(refuse()) }
    }

    fn known(&self, prefix: &str) -> Option<ApiKey> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(prefix).filter(|(since, _)| since.elapsed() < KNOWN).map(|(_, key)| key.clone())
    }

    fn keep(&self, key: &ApiKey) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key.prefix.clone(), (Stopwatch::start(), key.clone()));
    }
}
