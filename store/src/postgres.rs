//! Connections to PostgreSQL. The server is asked for what the books count on, and refused without.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgPool};

use crate::address::Address;
use crate::open::{Durability, Role};
use crate::{Result, StoreError};

/// The oldest server whose every statement here is tested.
const OLDEST: i32 = 150_000;

/// "Bursar" in ASCII: what everybody who writes holds, alone or beside others.
pub const BEGIN_ALONE: &str = "begin; select pg_advisory_xact_lock(73152834892146)";
pub const BEGIN_BESIDE: &str = "begin; select pg_advisory_xact_lock_shared(73152834892146)";

pub fn options(options: &PgConnectOptions, role: Role, name: &str) -> PgConnectOptions {
    let options = options
        .clone()
        .application_name(name)
        .options([("timezone", "UTC"), ("lock_timeout", "10s"), ("client_min_messages", "warning")])
        // Statements are short. Compiling one would cost more than it saves.
        .options([("jit", "off")])
        // Each statement of a batch stays prepared.
        .statement_cache_capacity(512);
    match role {
        Role::Reader => options.options([("default_transaction_read_only", "on")]),
        // Whoever is frozen within a transaction lets the others go on, and is refused when it wakes up.
        Role::Writer => options
            .options([("idle_in_transaction_session_timeout", "3s")])
            // A foreign key's question is planned once, maybe while its table is small or not yet analysed.
            .options([("enable_seqscan", "off")]),
    }
}

pub async fn pool(options: PgConnectOptions, address: &Address, durability: Durability, size: u32) -> Result<PgPool> {
    // A first one by hand: the pool would try again and again, and at last only say that it took too long.
    let mut first = options.connect().await.map_err(|error| unreachable(error, address))?;
    check(&mut first, durability).await?;
    first.close().await?;
    let pool = PgPoolOptions::new()
        .max_connections(size)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(20))
        .max_lifetime(None)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                let checked = check(connection, durability).await;
                checked.map_err(|error| sqlx::Error::Configuration(Box::new(error)))
            })
        })
        .connect_with(options)
        .await?;
    Ok(pool)
}

/// Asks the server what it is, and what a commit is worth there.
async fn check(connection: &mut PgConnection, durability: Durability) -> Result<()> {
    let (version, fsync, pages, commit): (i32, String, String, String) = sqlx::query_as(
        "select current_setting('server_version_num')::int, current_setting('fsync'),
            current_setting('full_page_writes'), current_setting('synchronous_commit')",
    )
    .fetch_one(connection)
    .await?;
    if version < OLDEST {
        return Err(StoreError::ServerTooOld { found: version / 10_000, needed: OLDEST / 10_000 });
    }
    let settings = [("fsync", fsync), ("full_page_writes", pages), ("synchronous_commit", commit)];
    for (setting, found) in settings {
        if durability == Durability::Full && found == "off" {
            return Err(StoreError::Setting { pragma: setting, wanted: "on".to_owned(), found });
        }
    }
    Ok(())
}

fn unreachable(error: sqlx::Error, address: &Address) -> StoreError {
    StoreError::Unreachable { place: address.to_string(), problem: error.to_string() }
}
