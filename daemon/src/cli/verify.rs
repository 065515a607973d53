//! `bursar verify`.

use serde_json::{Value, json};
use store::Violation;

use crate::cli::{DONE, FAILED, VerifyArgs, books};

pub async fn run(args: VerifyArgs) -> anyhow::Result<u8> {
    let store = args.books.store().await?;
    let policy = args.books.policy(&store).await?;
    let account = match &args.account {
        None => None,
        Some(name) => Some(books::account(&store, name).await?),
    };
    let violations = store.verify(account, &policy).await?;
    store.close().await;
    let json = json!({ "verified": violations.is_empty(), "violations": rows(&violations) });
    args.format.print(&json, &text(&violations))?;
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
