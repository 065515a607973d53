//! A copy of the books on a server, by pg_dump, and back by pg_restore and psql.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{ChildStdin, Stdio};
use std::thread;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, PgPool};

use super::program::{self, Running};
use super::{Extent, not_sound};
use crate::address::Address;
use crate::fences::NewFence;
use crate::{Result, Store, StoreError, fences, postgres, schema, sql};

pub const RENAME: &str = "update identity set name = replace(gen_random_uuid()::text, '-', '')";

const LOOK: Duration = Duration::from_millis(20);

/// Whatever the role or the server has for its defaults.
const PATIENT: [(&str, &str); 4] = [
    ("idle_in_transaction_session_timeout", "0"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("synchronous_commit", "on"),
];

/// Tables, views and sequences of somebody's, but for what extensions brought along.
const HOLDS_SOMETHING: &str = "select exists (
    select 1 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname <> 'information_schema' and n.nspname !~ '^pg_' and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
        and not exists (select 1 from pg_catalog.pg_depend d where d.objid = c.oid and d.deptype = 'e'))";

/// Dumps what this very transaction sees; its locks are those of any reader.
pub async fn take(store: &Store, readers: &PgPool, path: &Path, file: &File) -> Result<Extent> {
    let mut snapshot = store.snapshot().await?;
    // It is idle for as long as the dump takes.
    sql::query("set local idle_in_transaction_session_timeout = 0").execute(&mut snapshot).await?;
    let major: i32 = sql::query_scalar::<i64>("select current_setting('server_version_num')::bigint / 10000")
        .fetch_one(&mut snapshot)
        .await
        .map(|major| i32::try_from(major).unwrap_or_default())?;
    let (mut dump, mut read) = (program::find("pg_dump", major)?, program::find("pg_restore", major)?);
    let id: String = sql::query_scalar("select pg_export_snapshot()").fetch_one(&mut snapshot).await?;
    let extent = super::extent(&mut snapshot).await?;
    program::connect("pg_dump", &mut dump, &readers.connect_options())?;
    dump.args(["--format=custom", "--no-password", "--lock-wait-timeout=10s"]).arg(format!("--snapshot={id}"));
    let into = file.try_clone().map_err(|error| program::failed("pg_dump", error.to_string()))?;
    dump.stdin(Stdio::null()).stdout(into);
    Running::start("pg_dump", &mut dump)?.done().await?;
    snapshot.rollback().await?;
    // Read through once, to nowhere: what cannot be unpacked now is no copy.
    read.arg("--file=/dev/null").arg(path).stdin(Stdio::null()).stdout(Stdio::null());
    Running::start("pg_restore", &mut read)?.done().await.map_err(|error| not_sound(path, error.to_string()))?;
    Ok(extent)
}

/// Brings a dump into an empty database, with its fence, in one transaction: whoever dies on the way, nothing is there.
pub async fn restore(address: &Address, path: &Path, fence: NewFence<'_>) -> Result<()> {
    let Address::Postgres(options) = address else { return Err(not_sound(path, "it is for a PostgreSQL server")) };
    let options = options.as_ref().clone().application_name("bursar").options(PATIENT);
    let major = empty_server(&options, address).await?;
    let (mut read, mut write) = (program::find("pg_restore", major)?, program::find("psql", major)?);
    look_into(path, major)?;
    program::connect("psql", &mut write, &options)?;
    write.args(["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"]).stdin(Stdio::piped());
    write.stdout(Stdio::null());
    read.args(["--file=-", "--no-owner", "--no-privileges", "--no-comments"]).arg(path).stdin(Stdio::null());
    read.stdout(Stdio::piped());
    let mut writing = Running::start("psql", &mut write)?;
    let mut reading = Running::start("pg_restore", &mut read)?;
    let (to, from) = (writing.child.stdin.take(), reading.child.stdout.take());
    let (Some(mut to), Some(mut from)) = (to, from) else { return Err(program::failed("psql", "it takes nothing")) };
    let piping = thread::spawn(move || -> io::Result<ChildStdin> {
        to.write_all(b"begin;\n")?;
        io::copy(&mut from, &mut to)?;
        Ok(to)
    });
    while !piping.is_finished() {
        tokio::time::sleep(LOOK).await;
    }
    let piped = piping.join().unwrap_or_else(|_| Err(io::Error::other("it was cut off")));
    let read = reading.done().await;
    match (piped, read) {
        (Ok(mut to), Ok(())) => {
            // Only now: what ends before this is rolled back. It may be gone already, and then says why itself.
            let _ = to.write_all(end(fence).as_bytes());
            drop(to);
            writing.done().await
        }
        // The reader fell over the one who no longer takes anything.
        (Err(_), read) => writing.done().await.and(read),
        (Ok(to), read) => {
            drop((to, writing));
            read.map_err(|error| not_sound(path, error.to_string()))
        }
    }
}

/// What comes behind the dump, whose script has set the path of names to nothing.
fn end(fence: NewFence<'_>) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let taken_at = fence.taken_at.map_or_else(|| "null".to_owned(), |at| at.secs().to_string());
    let (at, by, reason) = (fence.at.secs(), quoted(fence.by), quoted(fence.reason));
    let (known, raise) = (schema::KNOWN, fences::RAISE);
    format!(
        "reset search_path;
        do $$ begin
            if (select max(version) > {known} from bursar_migrations) then
                raise exception 'the dump has a newer schema than this program, which knows {known}: use the newer one';
            end if;
        end $$;
        prepare raise (bigint, bigint, text, text) as {raise};
        execute raise ({taken_at}, {at}, {by}, {reason});
        {RENAME};
        analyze;
        commit;
        "
    )
}

/// The server's version, if it can be written to and the database is empty.
async fn empty_server(options: &PgConnectOptions, address: &Address) -> Result<i32> {
    let unreachable =
        |error: sqlx::Error| StoreError::Unreachable { place: address.to_string(), problem: error.to_string() };
    let mut connection: PgConnection = options.connect().await.map_err(unreachable)?;
    let (version, is_standby): (i32, bool) =
        sqlx::query_as("select current_setting('server_version_num')::int, pg_is_in_recovery()")
            .fetch_one(&mut connection)
            .await?;
    let holds_something: bool = sqlx::query_scalar(HOLDS_SOMETHING).fetch_one(&mut connection).await?;
    connection.close().await?;
    if version < postgres::OLDEST {
        return Err(StoreError::ServerTooOld { found: version / 10_000, needed: postgres::OLDEST / 10_000 });
    }
    match (is_standby, holds_something) {
        (true, _) => Err(StoreError::Standby),
        (_, true) => Err(StoreError::Occupied { place: address.to_string() }),
        _ => Ok(version / 10_000),
    }
}

/// Whether the dump's table of contents is that of books with a fence.
fn look_into(path: &Path, major: i32) -> Result<()> {
    let listed = program::find("pg_restore", major)?.arg("--list").arg(path).stdin(Stdio::null()).output();
    let listed = listed.map_err(|error| program::failed("pg_restore", error.to_string()))?;
    if !listed.status.success() {
        return Err(not_sound(path, program::reason(&String::from_utf8_lossy(&listed.stderr))));
    }
    let contents = String::from_utf8_lossy(&listed.stdout);
    let has =
        |table: &str| contents.lines().any(|line| line.contains(" TABLE ") && line.contains(&format!(" {table} ")));
    match (has("bursar_migrations"), has("fences")) {
        (true, true) => Ok(()),
        (true, false) => Err(not_sound(
            path,
            "it is of a schema without fences: bring it back by pg_restore, and raise one by `bursar fence raise` \
            before anybody serves it",
        )),
        _ => {
            let (place, problem) = (path.display().to_string(), "it has none of Bursar's tables".to_owned());
            Err(StoreError::NotADatabase { place, problem })
        }
    }
}

#[cfg(test)]
mod tests {
    use rules::Timestamp;

    use super::*;

    #[test]
    fn what_an_admin_says_stays_a_text() {
        let (at, by, reason) = (Timestamp::from_secs(7), "cli:o'hara", "it's $1; drop table accounts; --");
        let text = end(NewFence { taken_at: None, at, by, reason });
        assert!(
            text.contains("execute raise (null, 7, 'cli:o''hara', 'it''s $1; drop table accounts; --');"),
            "{text}"
        );
    }
}
