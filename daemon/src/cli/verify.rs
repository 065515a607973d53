//! `bursar verify`.

use serde_json::json;

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
    let rows: Vec<_> = violations
        .iter()
        .map(|violation| {
            let (id, name) = (violation.account, &violation.name);
            json!({ "invariant": violation.invariant, "id": id, "account": name, "detail": violation.detail })
        })
        .collect();
    let mut text: String = violations.iter().map(|violation| format!("{violation}\n")).collect();
    text += &match violations.len() {
        0 => "The books verify.".to_owned(),
        1 => "1 invariant is broken.".to_owned(),
        broken => format!("{broken} invariants are broken."),
    };
    args.format.print(&json!({ "verified": violations.is_empty(), "violations": rows }), &text)?;
    Ok(if violations.is_empty() { DONE } else { FAILED })
}
