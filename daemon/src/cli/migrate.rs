//! `bursar migrate`: a host that outgrew one file.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use jobs::Clock;
use serde_json::json;
use store::{Address, Opening, Store};

use crate::cli::out::{Format, tell};
use crate::cli::{DONE, FAILED};
use crate::input::{BadInput, Config, database_address};
use crate::serve::lock::Lock;

#[derive(clap::Args)]
pub struct MigrateArgs {
    /// Where the books are: sqlite:PATH
    #[arg(long, value_name = "URL")]
    from: String,
    /// Where they are to be, an empty database: postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "URL")]
    to: String,
    /// The daemon's configuration: verifying needs the rules' numbers
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub async fn run(args: MigrateArgs) -> anyhow::Result<u8> {
    let config = match &args.config {
        Some(file) => Config::read(file).map_err(|problems| BadInput(problems.to_string()))?,
        None => Config::default(),
    };
    let (from, to) = (database_address(&args.from)?, database_address(&args.to)?);
    let (Address::Sqlite(file), Address::Postgres(_)) = (&from, &to) else {
        let why = "--from: it goes from an SQLite file to PostgreSQL: give --from sqlite:PATH \
            --to postgres://USER@HOST/DATABASE";
        return Err(BadInput(why.to_owned()).into());
    };
    if !file.exists() {
        return Err(BadInput(format!("--from {}: there is no such file", args.from)).into());
    }
    // No daemon begins to serve what is being moved.
    let _lock = Lock::take(file)?;
    let source = Store::open(&args.from, Opening::beside()).await?;
    let target = Store::open(&args.to, Opening::serving(Clock::system().now())).await?;
    if !target.is_empty().await? {
        return Err(BadInput(format!("--to {}: there are books in it: give an empty database", args.to)).into());
    }
    verified(&source, &config, "the file").await?;
    let mut moved = Vec::new();
    let say = args.format == Format::Table;
    source
        .move_to(&target, |table| {
            if say {
                tell(format_args!("{:<20} {:>12}", table.table, table.rows));
            }
            moved.push(json!({ "table": table.table, "rows": table.rows }));
        })
        .await?;
    if let Err(error) = verified(&target, &config, "PostgreSQL").await {
        tell(format_args!("{error}: go on with the file, and tell us"));
        return Ok(FAILED);
    }
    source.close().await;
    target.close().await;
    let text = format!(
        "Moved. Both sides verify, and every table came out the same. Now set `database` in the configuration to \
        the new place and start the daemon; keep {} as it is, as a copy of today.",
        file.display()
    );
    args.format.print(&json!({ "moved": moved, "verified": true }), &text)?;
    Ok(DONE)
}

async fn verified(store: &Store, config: &Config, which: &str) -> anyhow::Result<()> {
    let violations = store.verify(None, &config.policy).await.with_context(|| format!("cannot verify {which}"))?;
    if let Some(first) = violations.first() {
        bail!("the books of {which} do not verify ({} invariants are broken, the first: {first})", violations.len());
    }
    Ok(())
}
