//! How much one key may ask for, and how often one address may come with a wrong one.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use jobs::Stopwatch;
use rules::AccountId;
use store::ApiKey;

use crate::http::problem::Problem;

/// Counted anew after this.
const WINDOW: Duration = Duration::from_secs(10);
/// Far more than a panel needs, far less than what keeps a machine busy.
const REQUESTS: u32 = 20_000;
/// Of keys for one account: a page in a browser.
const REQUESTS_OF_CUSTOMERS: u32 = 200;
const FAILURES: u32 = 50;
/// Beyond, counting begins anew: nobody fills the memory.
const MOST: usize = 10_000;

pub struct Limits {
    /// Proxies whose word on where a request comes from is taken.
    trusted: Vec<IpAddr>,
    requests: Mutex<Counts<(Option<AccountId>, i64)>>,
    failures: Mutex<Counts<IpAddr>>,
}

/// By who asks: since when it is counted, and how many.
struct Counts<K>(HashMap<K, (Stopwatch, u32)>);

impl<K: Hash + Eq> Counts<K> {
    fn now(&self, who: &K) -> u32 {
        self.0.get(who).filter(|(since, _)| since.elapsed() < WINDOW).map_or(0, |(_, count)| *count)
    }

    fn one_more(&mut self, who: K) {
        if self.0.len() >= MOST {
            self.0.retain(|_, (since, _)| since.elapsed() < WINDOW);
            if self.0.len() >= MOST {
                self.0.clear();
            }
        }
        let counted = self.0.entry(who).or_insert_with(|| (Stopwatch::start(), 0));
        if counted.0.elapsed() >= WINDOW {
            *counted = (Stopwatch::start(), 0);
        }
        counted.1 += 1;
    }
}

impl Limits {
    pub fn of(trusted: Vec<IpAddr>) -> Self {
        let (requests, failures) = (Mutex::new(Counts(HashMap::new())), Mutex::new(Counts(HashMap::new())));
        Self { trusted, requests, failures }
    }

    /// Where a request comes from: the last address in front of those of trusted proxies.
    pub fn address(&self, request: &Request) -> Option<IpAddr> {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())?;
        if !self.trusted.contains(&peer) {
            return Some(peer);
        }
        let said = request.headers().get_all("x-forwarded-for").iter().map(|said| said.to_str().unwrap_or("?"));
        let path: Vec<&str> = said.flat_map(|said| said.split(',')).collect();
        // From the right: what stands further left anybody can write.
        let mut path = path.iter().rev().map(|at| at.trim().parse::<IpAddr>().ok());
        let outside = path.find(|at| at.is_none_or(|at| !self.trusted.contains(&at)));
        outside.flatten().or(Some(peer))
    }

    pub fn refuse_failing(&self, from: Option<IpAddr>) -> Result<(), Problem> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match from.is_some_and(|from| failures.now(&from) >= FAILURES) {
            true => Err(too_many("too many requests with a wrong key came from this address")),
            false => Ok(()),
        }
    }

    pub fn failed(&self, from: Option<IpAddr>) {
        if let Some(from) = from {
            self.failures.lock().unwrap_or_else(PoisonError::into_inner).one_more(from);
        }
    }

    /// Keys for one account are counted together, by the account.
    pub fn refuse_busy(&self, key: &ApiKey) -> Result<(), Problem> {
        let most = if key.account.is_some() { REQUESTS_OF_CUSTOMERS } else { REQUESTS };
        let who = (key.account, key.account.map_or(key.id.0, |_| 0));
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.now(&who) >= most {
            return Err(too_many("too many requests came with this key"));
        }
        requests.one_more(who);
        Ok(())
    }
}

fn too_many(detail: &str) -> Problem {
    let secs = u32::try_from(WINDOW.as_secs()).unwrap_or(1);
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).after(secs)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use rules::Timestamp;

    use super::*;

    fn request(peer: &str, forwarded: &[&str]) -> Request {
        let mut request = Request::new(Body::empty());
        let peer: SocketAddr = peer.parse().expect("an address");
        request.extensions_mut().insert(ConnectInfo(peer));
        for said in forwarded {
            request.headers_mut().append("x-forwarded-for", said.parse().expect("a value"));
        }
        request
    }

    #[test]
    fn only_trusted_proxies_say_where_a_request_comes_from() {
        let limits =
            Limits::of(vec!["127.0.0.1".parse().expect("an address"), "10.0.0.2".parse().expect("an address")]);
        let at = |peer, forwarded: &[&str]| limits.address(&request(peer, forwarded)).expect("known").to_string();
        assert_eq!(at("192.0.2.7:1", &["203.0.113.9"]), "192.0.2.7");
        assert_eq!(at("127.0.0.1:1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(at("127.0.0.1:1", &["198.51.100.1, 203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(at("127.0.0.1:1", &["spoofed, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(at("127.0.0.1:1", &["x", "203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(at("127.0.0.1:1", &["x"]), "127.0.0.1");
        assert_eq!(at("127.0.0.1:1", &[]), "127.0.0.1");
    }

    #[test]
    fn who_comes_with_wrong_keys_waits() {
        let limits = Limits::of(Vec::new());
        let (one, other) = ("192.0.2.7".parse().ok(), "192.0.2.8".parse().ok());
        for _ in 0..FAILURES {
            assert!(limits.refuse_failing(one).is_ok());
            limits.failed(one);
        }
        let refused = limits.refuse_failing(one).expect_err("too many");
        assert_eq!((refused.status, refused.code.as_str()), (429, "too_many_requests"));
        assert!(limits.refuse_failing(other).is_ok());
        let key = |id: i64, account: Option<i64>| ApiKey {
            id: store::KeyId(id),
            prefix: String::new(),
            digest: String::new(),
            name: String::new(),
            scope: store::KeyScope::Panel,
            account: account.map(AccountId),
            account_name: None,
            created_at: Timestamp::BEGINNING,
            created_by: String::new(),
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        };
        for _ in 0..REQUESTS {
            limits.refuse_busy(&key(1, None)).expect("few");
        }
        assert!(limits.refuse_busy(&key(1, None)).is_err() && limits.refuse_busy(&key(2, None)).is_ok());
        for number in 0..REQUESTS_OF_CUSTOMERS {
            limits.refuse_busy(&key(i64::from(number) + 3, Some(7))).expect("few");
        }
        assert!(limits.refuse_busy(&key(999, Some(7))).is_err() && limits.refuse_busy(&key(999, Some(8))).is_ok());
    }
}
