//! `bursar verify`.

use anyhow::bail;
use serde_json::json;
use store::{Opening, Store};

use crate::cli::{DONE, FAILED, Format, VerifyArgs};
use crate::input::database_path;

pub async fn run(args: VerifyArgs) -> anyhow::Result<u8> {
    database_path(&args.database_url)?;
    let store = Store::open(&args.database_url, Opening::beside()).await?;
    let account = match &args.account {
        None => None,
        Some(name) => match store.account_id(name).await? {
            Some(id) => Some(id),
            None => bail!("--account {name}: there is no such account"),
        },
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
