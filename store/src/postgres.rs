//! Connections to PostgreSQL. The server is asked for what the books count on, and refused without.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgPool};

use crate::address::Address;
use crate::open::{Durability, Role};
use crate::{Result, StoreError};

/// The oldest server whose every statement here is tested.
pub const OLDEST: i32 = 150_000;

/// Whatever the server, the role or the database has for its default: what the lock is for needs statements that see
/// what was committed before they began.
pub const BEGIN: &str = "begin isolation level read committed, read write";

/// "Bursar" in ASCII: what everybody who writes holds, alone or beside others.
pub const ALONE: &str = "select pg_advisory_xact_lock(73152834892146)";
pub const BESIDE: &str = "select pg_advisory_xact_lock_shared(73152834892146)";

/// For whoever waits so long for that lock, the server looks after those who hold it.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Within a statement no other timeout counts: a client that is gone or frozen while the server reads from it or
/// writes to it holds the lock until its connection is ended.
const END_FROZEN: &str = "select pg_terminate_backend(holder.pid)
    from pg_locks l join pg_stat_activity holder on holder.pid = l.pid
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1
        and (l.classid::bigint << 32 | l.objid::bigint) = 73152834892146
        and holder.datname = current_database() and holder.usename = current_user
        and holder.state = 'active' and holder.wait_event_type = 'Client'
        and holder.query_start < clock_timestamp() - interval '3 seconds'";

pub fn options(options: &PgConnectOptions, role: Role, name: &str) -> PgConnectOptions {
    let options = options
        .clone()
        .application_name(name)
        .options([("timezone", "UTC"), ("lock_timeout", "10s"), ("client_min_messages", "warning")])
        // Statements are short. Compiling one would cost more than it saves.
        .options([("jit", "off")])
        // A client whose machine is gone is noticed within half a minute.
        .options([("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "3")])
        .options([("tcp_user_timeout", "25000")])
        // Each statement of a batch stays prepared.
        .statement_cache_capacity(512);
    match role {
        Role::Reader => options.options([("default_transaction_read_only", "on")]),
        // Whoever is frozen within a transaction lets the others go on, and is refused when it wakes up.
        Role::Writer => options
            .options([("idle_in_transaction_session_timeout", "3s")])
            .options([("default_transaction_isolation", "read committed")])
            // A foreign key's question is planned once, maybe while its table is small or not yet analysed.
            .options([("enable_seqscan", "off")]),
    }
}

/// No connection for so long is no answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Ends connections that hold the lock of all who write, and whose clients leave the server waiting; how many.
pub async fn end_frozen(pool: &PgPool) -> Result<usize> {
    Ok(sqlx::query(END_FROZEN).fetch_all(pool).await?.len())
}

pub async fn pool(
    options: PgConnectOptions,
    address: &Address,
    (role, durability): (Role, Durability),
    size: u32,
) -> Result<PgPool> {
    // A first one by hand: the pool would try again and again, and at last only say that it took too long.
    let mut first = options.connect().await.map_err(|error| unreachable(error, address))?;
    check(&mut first, role, durability).await?;
    first.close().await?;
    let pool = PgPoolOptions::new()
        .max_connections(size)
        .min_connections(1)
        .acquire_timeout(ANSWER_MAX)
        .max_lifetime(None)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                let checked = keep(connection, role, durability).await;
                checked.map_err(|error| sqlx::Error::Configuration(Box::new(error)))
            })
        })
        .connect_with(options)
        .await?;
    Ok(pool)
}

const SETTINGS: [&str; 3] = ["fsync", "full_page_writes", "synchronous_commit"];

/// Has a session wait for its commits, whatever the server has for its default; one that waits for more goes on so.
const WAIT_FOR_COMMITS: &str = "select set_config('synchronous_commit', case found when 'off' then 'on' else found end,
    false) from current_setting('synchronous_commit') found";

/// Asks the server what it is, and what a commit is worth there.
async fn check(connection: &mut PgConnection, role: Role, durability: Durability) -> Result<()> {
    let version: i32 =
        sqlx::query_scalar("select current_setting('server_version_num')::int").fetch_one(&mut *connection).await?;
    if version < OLDEST {
        return Err(StoreError::ServerTooOld { found: version / 10_000, needed: OLDEST / 10_000 });
    }
    keep(connection, role, durability).await?;
    if role == Role::Reader || durability == Durability::Off {
        return Ok(());
    }
    let mut found: [String; 3] = Default::default();
    for (setting, found) in SETTINGS.iter().zip(&mut found) {
        *found = sqlx::query_scalar("select current_setting($1)").bind(setting).fetch_one(&mut *connection).await?;
    }
    refuse_forgetful(found)
}

/// Makes a connection one to keep. Later an address may lead to another server than before.
async fn keep(connection: &mut PgConnection, role: Role, durability: Durability) -> Result<()> {
    let is_standby: bool = sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(&mut *connection).await?;
    if role == Role::Writer && is_standby {
        return Err(StoreError::Standby);
    }
    if durability == Durability::Full {
        sqlx::query(WAIT_FOR_COMMITS).execute(connection).await?;
    }
    Ok(())
}

/// A server that may forget what it committed is no place for books, from the moment on that it is set so.
pub fn refuse_forgetful(found: [String; 3]) -> Result<()> {
    match SETTINGS.into_iter().zip(found).find(|(_, found)| found == "off") {
        Some((pragma, found)) => Err(StoreError::Setting { pragma, wanted: "on".to_owned(), found }),
        None => Ok(()),
    }
}

fn unreachable(error: sqlx::Error, address: &Address) -> StoreError {
    StoreError::Unreachable { place: address.to_string(), problem: error.to_string() }
}
