//! A client of the daemon's API, which sends what it is told to, byte by byte.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a problem.
    pub fn code(&self) -> String {
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        self.json()["code"].as_str().expect("a code").to_owned()
    }

    pub fn is_replay(&self) -> bool {
        self.head.contains("idempotent-replayed: true")
    }
}

/// Sends a request as it stands; none where the daemon broke off.
pub fn send(address: SocketAddr, request: &[u8]) -> Option<Reply> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    // Who refuses early may not read on.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).expect("UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok())?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    if read.is_err() && length != Some(body.len()) {
        return None;
    }
    Some(Reply { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

/// Asks with a key.
#[derive(Clone, Debug)]
pub struct Api {
    pub address: SocketAddr,
    pub key: Option<String>,
    /// What a proxy says of where it comes from.
    pub from: Option<String>,
}

impl Api {
    pub fn with(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    fn head(&self, method: &str, path: &str) -> String {
        let key = self.key.as_ref().map_or_else(String::new, |key| format!("Authorization: Bearer {key}\r\n"));
        let from = self.from.as_ref().map_or_else(String::new, |from| format!("X-Forwarded-For: {from}\r\n"));
        format!("{method} {path} HTTP/1.1\r\nHost: bursar\r\nConnection: close\r\n{key}{from}")
    }

    pub fn get(&self, path: &str) -> Reply {
        send(self.address, format!("{}\r\n", self.head("GET", path)).as_bytes()).expect("an answer")
    }

    /// A POST with an Idempotency-Key; none where the daemon broke off.
    pub fn try_post(&self, path: &str, once: &str, body: &str) -> Option<Reply> {
        let head = self.head("POST", path);
        let length = body.len();
        let request = format!(
            "{head}Content-Type: application/json\r\nIdempotency-Key: {once}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        send(self.address, request.as_bytes())
    }

    pub fn post_as(&self, path: &str, once: &str, body: &str) -> Reply {
        self.try_post(path, once, body).expect("an answer")
    }

    /// The same with a fresh one.
    pub fn post(&self, path: &str, body: &str) -> Reply {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        self.post_as(path, &format!("fresh-{}", COUNT.fetch_add(1, Ordering::SeqCst)), body)
    }

    /// A POST that is done; what it came to.
    pub fn done(&self, path: &str, body: &str) -> Value {
        let reply = self.post(path, body);
        assert!((200..300).contains(&reply.status), "{path} {body}: {reply:?}");
        reply.json()
    }
}
