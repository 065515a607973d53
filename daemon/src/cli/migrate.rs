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
    let now = Clock::system().now();
    let source = Store::open(&args.from, Opening::beside()).await?;
    let target = Store::open(&args.to, Opening::moving(now)).await?;
    let mut moved = Vec::new();
    let state = match (source.moved().await?, target.moved_for_certain().await?) {
        (Some(Move { state: MoveState::Left, place, .. }), _) => {
            return Err(BadInput(format!("--from {}: these books went to {place} already", args.from)).into());
        }
        // Whoever moved them was killed on the way.
        (Some(begun), Some(there)) if begun.id == there.id => there.state,
        (Some(Move { place, .. }), _) if place != to.to_string() => {
            let why = format!(
                "--to {}: these books are on their way to {place}: give that; if it is gone, make it anew, empty",
                args.to
            );
            return Err(BadInput(why).into());
        }
        (_, Some(Move { state: MoveState::Dead, place, .. })) => {
            let why = format!("--to {}: what came there from {place} did not verify: make it anew, empty", args.to);
            return Err(BadInput(why).into());
        }
        (begun, _) => {
            if !target.is_empty().await? {
                let why = format!("--to {}: there are books in it: give an empty database", args.to);
                return Err(BadInput(why).into());
            }
            let id = begun.map_or_else(new_id, |begun| begun.id);
            // Whoever still has the file open is refused from here on.
            source.move_begin(&id, &to.to_string(), now).await?;
            let say = args.format == Format::Table;
            let told = |table: MovedTable| {
                if say {
                    tell(format_args!("{:<20} {:>12}", table.table, table.rows));
                }
                moved.push(json!({ "table": table.table, "rows": table.rows }));
            };
            if let Err(error) = copy(&source, &target, &id, &from, &config, told).await {
                return Err(not_copied(&source, &target, error).await);
            }
            MoveState::Arriving
        }
    };
    if let Some(wrong) = check(&target, state, &config).await.context(GO_ON)? {
        // In this order: at no time both can be changed.
        target.move_dead().await.context(GO_ON)?;
        source.move_take_back().await.context(GO_ON)?;
        tell(format_args!("{wrong}: go on with the file, and tell us; what came to {to} is never served"));
        return Ok(FAILED);
    }
    target.move_arrived().await.context(GO_ON)?;
    source.move_end().await.context(GO_ON)?;
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

/// What is said of a move that stopped where neither side can be served.
const GO_ON: &str = "the move is not at its end; give the same command again";

async fn copy(
    source: &Store,
    target: &Store,
    id: &str,
    from: &Address,
    config: &Config,
    told: impl FnMut(MovedTable),
) -> anyhow::Result<()> {
    if let Some(wrong) = wrong_with(source, config, "the file").await? {
        bail!(wrong);
    }
    Ok(source.move_to(target, (id, &from.to_string(), Clock::system().now()), told).await?)
}

/// Takes the books back if nothing of them arrived. Where that cannot be seen, the next try goes on from here.
async fn not_copied(source: &Store, target: &Store, error: anyhow::Error) -> anyhow::Error {
    match target.moved_for_certain().await {
        Ok(None) => match source.move_take_back().await {
            Ok(()) => error,
            Err(_) => error.context(GO_ON),
        },
        _ => error.context(GO_ON),
    }
}

/// What is wrong with what arrived. What was verified once is what is served: it is not asked again.
async fn check(target: &Store, state: MoveState, config: &Config) -> anyhow::Result<Option<String>> {
    match state {
        MoveState::Arrived => Ok(None),
        MoveState::Dead => Ok(Some("the books of PostgreSQL did not verify".to_owned())),
        _ => wrong_with(target, config, "PostgreSQL").await,
    }
}

/// By which either side knows the other.
fn new_id() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

async fn wrong_with(store: &Store, config: &Config, which: &str) -> anyhow::Result<Option<String>> {
    let verified = async {
        let policy = store.policy().await?.unwrap_or_else(|| config.policy.clone());
        store.verify(None, &policy).await
    };
    let violations = verified.await.with_context(|| format!("cannot verify {which}"))?;
    Ok(violations.first().map(|first| {
        let broken = violations.len();
        format!("the books of {which} do not verify ({broken} invariants are broken, the first: {first})")
    }))
}
