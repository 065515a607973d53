//! `bursar migrate`: a host that outgrew one file.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use jobs::Clock;
use serde_json::json;
use store::{Address, Move, MoveState, MovedTable, Opening, Store};

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
        Some(file) => Config::read(file)?,
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
    let (begun, arrived) = (source.moved().await?, target.moved().await?);
    let mut moved = Vec::new();
    match (begun, arrived) {
        (Some(Move { state: MoveState::Left, place, .. }), _) => {
            return Err(BadInput(format!("--from {}: these books went to {place} already", args.from)).into());
        }
        // Whoever moved them was killed before it could note that they have left.
        (Some(begun), Some(arrived)) if begun.id == arrived.id => {}
        (Some(Move { place, .. }), _) if place != to.to_string() => {
            let why = format!(
                "--to {}: these books are on their way to {place}: give that; if it is gone, make it anew, empty",
                args.to
            );
            return Err(BadInput(why).into());
        }
        (begun, _) => {
            if !target.is_empty().await? {
                let why = format!("--to {}: there are books in it: give an empty database", args.to);
                return Err(BadInput(why).into());
            }
            let id = begun.map_or_else(new_id, |begun| begun.id);
            // Whoever still has the file open is refused from here on.
            source.move_begin(&id, &to.to_string(), Clock::system().now()).await?;
            let say = args.format == Format::Table;
            let told = |table: MovedTable| {
                if say {
                    tell(format_args!("{:<20} {:>12}", table.table, table.rows));
                }
                moved.push(json!({ "table": table.table, "rows": table.rows }));
            };
            if let Err(error) = copy(&source, &target, &id, &from, &config, told).await {
                // Where that cannot be seen, the next try goes on from here.
                if target.moved_for_certain().await.is_ok_and(|arrived| arrived.is_none()) {
                    source.move_take_back().await?;
                }
                return Err(error);
            }
        }
    }
    if let Err(error) = verified(&target, &config, "PostgreSQL").await {
        source.move_take_back().await?;
        tell(format_args!("{error}: go on with the file, and tell us"));
        return Ok(FAILED);
    }
    source.move_end().await?;
    source.close().await;
    target.close().await;
    let text = format!(
        "Moved. Both sides verify, and every table came out the same. Now set `database` in the configuration to \
        the new place and start the daemon; keep {} as a copy of today: it can be read, and is changed no more.",
        file.display()
    );
    args.format.print(&json!({ "moved": moved, "verified": true }), &text)?;
    Ok(DONE)
}

async fn copy(
    source: &Store,
    target: &Store,
    id: &str,
    from: &Address,
    config: &Config,
    told: impl FnMut(MovedTable),
) -> anyhow::Result<()> {
    verified(source, config, "the file").await?;
    Ok(source.move_to(target, (id, &from.to_string(), Clock::system().now()), told).await?)
}

/// By which either side knows the other.
fn new_id() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

async fn verified(store: &Store, config: &Config, which: &str) -> anyhow::Result<()> {
    let violations = store.verify(None, &config.policy).await.with_context(|| format!("cannot verify {which}"))?;
    if let Some(first) = violations.first() {
        bail!("the books of {which} do not verify ({} invariants are broken, the first: {first})", violations.len());
    }
    Ok(())
}
