//! `bursar verify`.

use serde_json::{Value, json};
use store::{Store, Violation};

use crate::cli::{DONE, FAILED, VerifyArgs, books};

/// A place of the audit log's chain and the hash there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seal {
    place: i64,
    hash: String,
}

/// As in `12:9f86d0…`, sixty-four digits of sixteen behind the colon.
pub fn seal(text: &str) -> Result<Seal, String> {
    let read = text.split_once(':').and_then(|(place, hash)| {
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(Seal { place: place.parse().ok()?, hash: hash.to_owned() }).filter(|seal| is_hash && seal.place > 0)
    });
    read.ok_or_else(|| "it is PLACE:HASH, as `bursar verify` told it".to_owned())
}

pub async fn run(args: VerifyArgs) -> anyhow::Result<u8> {
    let store = args.books.store().await?;
    let policy = args.books.policy(&store).await?;
    let account = match &args.account {
        None => None,
        Some(name) => Some(books::account(&store, name).await?),
    };
    // Before the chain is walked: what is told was looked at.
    let (place, hash) = store.audit_head().await?;
    let mut violations = store.verify(account, &policy).await?;
    if let Some(kept) = &args.audit_seal {
        violations.extend(rewritten(&store, kept).await?);
    }
    store.close().await;
    let seal = (place > 0 && account.is_none()).then(|| format!("{place}:{hash}"));
    let told = seal.as_ref().map_or_else(String::new, |seal| format!("\nThe audit log's last seal is {seal}"));
    let (verified, rows) = (violations.is_empty(), rows(&violations));
    let json = json!({ "verified": verified, "violations": rows, "audit_seal": seal });
    args.format.print(&json, &(text(&violations) + &told))?;
    Ok(if violations.is_empty() { DONE } else { FAILED })
}

pub fn rows(violations: &[Violation]) -> Vec<Value> {
    let row = |violation: &Violation| {
        let (id, name) = (violation.account, &violation.name);
        json!({ "invariant": violation.invariant, "id": id, "account": name, "detail": violation.detail })
    };
    violations.iter().map(row).collect()
}

/// Each in a line, and what it comes to.
pub fn text(violations: &[Violation]) -> String {
    let mut text: String = violations.iter().map(|violation| format!("{violation}\n")).collect();
    text += &match violations.len() {
        0 => "The books verify.".to_owned(),
        1 => "1 invariant is broken.".to_owned(),
        broken => format!("{broken} invariants are broken."),
    };
    text
}

/// What is wrong where the log has another hash than it had, or ends before that place.
async fn rewritten(store: &Store, kept: &Seal) -> anyhow::Result<Option<Violation>> {
    let detail = match store.audit_hash(kept.place).await? {
        Some(hash) if hash == kept.hash => return Ok(None),
        Some(_) => format!("audit log: what stands up to place {} is not what stood there", kept.place),
        None => format!("audit log: place {} is not there any more", kept.place),
    };
    Ok(Some(Violation { invariant: "audit_log_is_chained", account: None, name: None, detail }))
}
