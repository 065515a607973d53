//! `bursar verify`.

use serde_json::json;

use crate::cli::{DONE, FAILED, Format, VerifyArgs, books};

pub async fn run(args: VerifyArgs) -> anyhow::Result<u8> {
    let store = args.books.store().await?;
    let account = match &args.account {
        None => None,
        Some(name) => Some(books::account(&store, name).await?),
    };
    let violations = store.verify(account).await?;
    store.close().await;
    match args.format {
        Format::Json => {
            let rows: Vec<_> = violations
                .iter()
                .map(|violation| {
                    let (id, name) = (violation.account, &violation.name);
                    json!({ "invariant": violation.invariant, "id": id, "account": name, "detail": violation.detail })
                })
                .collect();
            println!(
                "{}",
                serde_json::to_string_pretty(&json!({ "verified": violations.is_empty(), "violations": rows }))?
            );
        }
        Format::Table => {
            for violation in &violations {
                println!("{violation}");
            }
            match violations.len() {
                0 => println!("The books verify."),
                1 => println!("1 invariant is broken."),
                broken => println!("{broken} invariants are broken."),
            }
        }
    }
    Ok(if violations.is_empty() { DONE } else { FAILED })
}
