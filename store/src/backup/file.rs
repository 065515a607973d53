//! A copy of an SQLite file. VACUUM INTO reads one snapshot, as any reader does: in WAL mode nobody who writes waits.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool};

use super::{Extent, not_sound};
use crate::fences::NewFence;
use crate::{Result, StoreError, fences, schema};

pub const RENAME: &str = "update identity set name = lower(hex(randomblob(16)))";

pub async fn copy(readers: &SqlitePool, path: &Path, fence: NewFence<'_>) -> Result<Extent> {
    // A reader may write nothing at all, also not into another file.
    let options = readers.connect_options().as_ref().clone().read_only(true).pragma("query_only", "off");
    let mut from = options.connect().await?;
    let text = path.to_str().ok_or_else(|| not_sound(path, "its name is not UTF-8"))?;
    sqlx::query("vacuum into $1").bind(text).execute(&mut from).await?;
    from.close().await?;
    let mut copy = open(path, false).await?;
    let extent = mark(&mut copy, fence).await?;
    let complaint = complaint(&mut copy).await?;
    copy.close().await?;
    match complaint {
        None => Ok(extent),
        Some(complaint) => Err(not_sound(path, complaint)),
    }
}

/// Gives the copy its fence and a name of its own, before anybody can take it for the books.
async fn mark(copy: &mut SqliteConnection, fence: NewFence<'_>) -> Result<Extent> {
    sqlx::query(fences::RAISE)
        .bind(fence.taken_at.map(rules::Timestamp::secs))
        .bind(fence.at.secs())
        .bind(fence.by)
        .bind(fence.reason)
        .execute(&mut *copy)
        .await?;
    sqlx::query(RENAME).execute(&mut *copy).await?;
    let (accounts, settled_until): (i64, Option<i64>) = sqlx::query_as(super::EXTENT).fetch_one(&mut *copy).await?;
    Ok(super::extent_of(accounts, settled_until))
}

/// Whether a file is the sound books of a schema that this program knows or can bring up to date; nothing in it is
/// changed.
pub async fn check(path: &Path) -> Result<()> {
    let version = match look_into(path).await {
        Ok(Some(version)) => version?,
        Ok(None) => {
            let (place, problem) = (path.display().to_string(), "it has none of Bursar's tables".to_owned());
            return Err(StoreError::NotADatabase { place, problem });
        }
        // Damage may keep it from being looked through at all.
        Err(sqlx::Error::Database(error)) => return Err(not_sound(path, error.message())),
        Err(error) => return Err(error.into()),
    };
    schema::refuse_newer(version)
}

/// The schema's version; none of what has none.
async fn look_into(path: &Path) -> sqlx::Result<Option<Result<i64>>> {
    let mut file = open(path, true).await?;
    if let Some(complaint) = complaint(&mut file).await? {
        return Ok(Some(Err(not_sound(path, complaint))));
    }
    let tables: Vec<String> =
        sqlx::query_scalar("select name from sqlite_schema where type = 'table'").fetch_all(&mut file).await?;
    if !tables.iter().any(|table| table == "bursar_migrations") {
        return Ok(None);
    }
    let version = sqlx::query_scalar(schema::VERSION).fetch_one(&mut file).await?;
    file.close().await?;
    Ok(Some(Ok(version)))
}

/// No log and no journal beside it: a copy that is cut off is thrown away.
async fn open(path: &Path, read_only: bool) -> sqlx::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(false).read_only(read_only);
    let options = options.pragma("temp_store", "memory").pragma("trusted_schema", "off");
    let options = match read_only {
        true => options.immutable(true),
        false => options.journal_mode(SqliteJournalMode::Memory).synchronous(SqliteSynchronous::Off),
    };
    options.connect().await
}

/// What is wrong with its pages, if anything is.
async fn complaint(file: &mut SqliteConnection) -> sqlx::Result<Option<String>> {
    let found: Vec<String> = sqlx::query_scalar("pragma integrity_check(1)").fetch_all(file).await?;
    let complaint = found.into_iter().find(|line| line != "ok");
    Ok(complaint.map(|complaint| complaint.lines().collect::<Vec<_>>().join(" ")))
}

#[cfg(test)]
mod tests {
    use rules::Timestamp;

    use super::*;
    use crate::{Opening, Store};

    async fn run(path: &Path, statement: &'static str) {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut file = options.connect().await.expect("a file");
        sqlx::raw_sql(statement).execute(&mut file).await.expect(statement);
        file.close().await.expect("closed");
    }

    #[tokio::test]
    async fn what_is_no_sound_copy_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let now = Timestamp::from_secs(1_700_000_000);
        let url = format!("sqlite:{}", at("books.db").display());
        Store::open(&url, Opening::serving(now)).await.expect("books").close().await;
        check(&at("books.db")).await.expect("sound");
        std::fs::rename(at("books.db"), at("a%20b?c#d.db")).expect("renamed");
        check(&at("a%20b?c#d.db")).await.expect("sound");
        std::fs::rename(at("a%20b?c#d.db"), at("books.db")).expect("renamed");
        let whole = std::fs::read(at("books.db")).expect("the file");
        for (name, bytes) in [("half.db", &whole[..whole.len() / 2]), ("begin.db", &whole[..200])] {
            std::fs::write(at(name), bytes).expect("written");
            let refused = check(&at(name)).await.expect_err(name);
            assert!(matches!(refused, StoreError::NotSound { .. }), "{name}: {refused}");
        }
        run(&at("foreign.db"), "create table t (a)").await;
        let refused = check(&at("foreign.db")).await.expect_err("another's");
        assert!(matches!(refused, StoreError::NotADatabase { .. }), "{refused}");
        run(&at("books.db"), "insert into bursar_migrations values (9999, 'later', 0)").await;
        let refused = check(&at("books.db")).await.expect_err("newer");
        assert!(matches!(refused, StoreError::SchemaTooNew { found: 9999, .. }), "{refused}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 4, "nothing is left beside them");
    }
}
