//! What only a server does: locks that are waited for, clients that stand still, settings of its own.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use store::{Opening, Store};
use tokio::time::timeout;

use crate::books::{Books, NOW};
use crate::servers::Server;

const ALONE: &str = "begin; select pg_advisory_xact_lock(73152834892146)";
const BESIDE: &str = "begin; select pg_advisory_xact_lock_shared(73152834892146)";

async fn connect(books: &Books) -> PgConnection {
    PgConnection::connect(&books.url()).await.expect("a connection")
}

/// A wait that failed, by a timeout or by a word, leaves a connection as good as new.
#[tokio::test]
async fn a_lock_that_was_not_to_be_had_is_had_later() {
    let books = Books::new().await;
    let mut holder = connect(&books).await;
    holder.execute(ALONE).await.expect("locked");
    let store = books.store.clone();
    let waiting = tokio::spawn(async move { store.heartbeat(NOW).await });
    let end = "select pg_cancel_backend(pid) from pg_locks where locktype = 'advisory' and not granted
        and database = (select oid from pg_database where datname = current_database())";
    while sqlx::query(end).fetch_all(&mut holder).await.expect("asked").is_empty() {
        tokio::task::yield_now().await;
    }
    waiting.await.expect("a task").expect_err("it waited for nothing");
    holder.execute("commit").await.expect("released");
    // On each connection that there is.
    for _ in 0..8 {
        books.store.heartbeat(NOW).await.expect("the lock is free");
    }
    assert_eq!(books.store.last_alive().await.expect("asked"), Some(NOW));
}

/// In the middle of a COPY no timeout of the server counts.
#[tokio::test]
async fn a_client_that_stands_still_in_a_copy_keeps_nobody_waiting() {
    let books = Books::new().await;
    let mut frozen = connect(&books).await;
    frozen.execute(BESIDE).await.expect("locked");
    let copy = frozen.copy_in_raw("copy outages from stdin").await.expect("begun");
    let outage = rules::Outage::new(NOW, NOW.plus_days(1));
    books.store.outage_insert(outage, NOW).await.expect("somebody who wants to be alone");
    copy.finish().await.expect_err("its connection was ended");
}

/// What looks for something to mend holds nobody up, nor is held up.
#[tokio::test]
async fn a_look_for_runs_to_heal_takes_no_lock() {
    let books = Books::new().await;
    let mut holder = connect(&books).await;
    holder.execute(ALONE).await.expect("locked");
    assert_eq!(books.store.runs_heal(NOW).await.expect("nothing to wait for"), 0);
}

/// By its pulse a daemon is seen to be awake, and by its silence to stand still, though its connections are there.
#[tokio::test]
async fn a_daemon_that_stands_still_loses_its_claims() {
    let books = Books::new().await;
    let alive = async |name: &str| books.store.workers_alive().await.expect("asked").expect("a server").contains(name);
    let awake = Store::open(&books.url(), Opening::beside().named("awake")).await.expect("open");
    let frozen = Store::open(&books.url(), Opening::beside().named("frozen")).await.expect("open");
    let (mut pulse, mut last) = (awake.pulse(), frozen.pulse());
    last.feel().await.expect("the server is there");
    assert!(alive("frozen").await);
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        pulse.feel().await.expect("the server is there");
    }
    assert_eq!((alive("awake").await, alive("frozen").await), (true, false));
    // Cut, it beats on.
    books.try_sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'awake'").await.ok();
    pulse.feel().await.expect("connected anew");
    last.feel().await.expect("awake again");
    assert!(alive("frozen").await);
}

#[tokio::test]
async fn a_server_that_is_gone_is_felt_at_once() {
    let mut server = Server::postgres();
    let store = Store::open(&server.new_database(), Opening::serving(NOW)).await.expect("open");
    let mut pulse = store.pulse();
    pulse.feel().await.expect("the server is there");
    server.command("-m immediate stop");
    pulse.feel().await.expect_err("it is gone");
    server.command("start");
    pulse.feel().await.expect("it is back");
}

#[tokio::test]
async fn a_confirmation_ends_the_doubts_of_daemons_that_are_gone() {
    let books = Books::new().await;
    for worker in ["w1", "gone"] {
        books.store.clock_doubt_record(worker, NOW, NOW.plus_days(1)).await.expect("recorded");
    }
    assert!(books.store.clock_confirm(NOW, "cli:ann").await.expect("confirmed"));
    let doubts = books.store.clock_doubts().await.expect("readable");
    assert_eq!(doubts.iter().map(|doubt| doubt.worker.as_str()).collect::<Vec<_>>(), ["w1"]);
    assert_eq!(doubts[0].confirmed, Some((NOW, "cli:ann".to_owned())));
}

/// Whoever works on, however long, is nobody's to end.
#[tokio::test]
async fn a_statement_that_takes_long_is_waited_for() {
    let books = Books::new().await;
    let mut busy = connect(&books).await;
    busy.execute(BESIDE).await.expect("locked");
    let work = tokio::spawn(async move { busy.execute("select pg_sleep(5); commit").await.map(|_| ()) });
    let outage = rules::Outage::new(NOW, NOW.plus_days(1));
    books.store.outage_insert(outage, NOW).await.expect("its turn came");
    work.await.expect("a task").expect("it was left alone");
}

/// What the locks are for needs statements that see what was committed before them.
#[tokio::test]
async fn a_write_reads_what_is_committed_whatever_the_database_has_for_its_default() {
    let books = Books::new().await;
    let look = "create function look() returns trigger language plpgsql as $$ begin
            if current_setting('transaction_isolation') <> 'read committed' then
                raise exception 'it is %', current_setting('transaction_isolation');
            end if;
            return new;
        end $$;
        create trigger look before insert on heartbeats for each row execute function look();
        create trigger look before insert on outages for each row execute function look()";
    books.try_sql(look).await.expect("a trigger");
    let name = books.url().rsplit_once('/').expect("a database").1.to_owned();
    for default in ["default_transaction_isolation = 'serializable'", "default_transaction_read_only = on"] {
        let mut outside = connect(&books).await;
        outside.execute(AssertSqlSafe(format!("alter database {name} set {default}"))).await.expect("set");
    }
    let store = Store::open(&books.url(), Opening::serving(NOW)).await.expect("open");
    store.heartbeat(NOW).await.expect("beside others");
    store.outage_insert(rules::Outage::new(NOW, NOW.plus_days(1)), NOW).await.expect("alone");
}

/// It is there to be read.
#[tokio::test]
async fn a_standby_is_refused_by_its_name_to_whoever_writes() {
    let mut server = Server::postgres();
    let url = server.new_database();
    Store::open(&url, Opening::serving(NOW)).await.expect("a primary").close().await;
    server.command("standby");
    for opening in [Opening::serving(NOW), Opening::beside()] {
        let refused = Store::open(&url, opening).await.expect_err("a standby").to_string();
        assert!(refused.contains("is a standby"), "{refused}");
    }
    let store = Store::open(&url, Opening::reading()).await.expect("readable");
    assert_eq!(store.verify(None, &rules::Policy::default()).await.expect("verified"), []);
}

/// However long somebody writes alone.
#[tokio::test]
async fn whoever_opens_the_books_waits_for_nobody() {
    let books = Books::new().await;
    let mut holder = connect(&books).await;
    holder.execute(ALONE).await.expect("locked");
    for opening in [Opening::reading(), Opening::beside()] {
        let opened = timeout(Duration::from_secs(5), Store::open(&books.url(), opening)).await;
        opened.expect("it waits for nothing").expect("open").close().await;
    }
}

/// Its default is for others: a session waits for its own commits.
#[tokio::test]
async fn a_commit_is_waited_for_whatever_the_database_has_for_its_default() {
    let books = Books::new().await;
    let look = "create function look() returns trigger language plpgsql as $$ begin
            if current_setting('synchronous_commit') <> 'on' then
                raise exception 'it is %', current_setting('synchronous_commit');
            end if;
            return new;
        end $$;
        create trigger look before insert on heartbeats for each row execute function look()";
    books.try_sql(look).await.expect("a trigger");
    let name = books.url().rsplit_once('/').expect("a database").1.to_owned();
    books.try_sql(&format!("alter database {name} set synchronous_commit = off")).await.expect("set");
    let store = Store::open(&books.url(), Opening::serving(NOW)).await.expect("open");
    store.heartbeat(NOW).await.expect("it waits");
    store.refuse_changes().await.expect("readers are no other");
}

/// From the moment on that a server may forget what it commits, nothing is committed to it.
#[tokio::test]
async fn a_server_that_forgets_is_refused_also_while_it_runs() {
    let server = Server::postgres();
    let url = server.new_database();
    let store = Store::open(&url, Opening::serving(NOW)).await.expect("open");
    let mut admin = PgConnection::connect(&url).await.expect("a connection");
    for (setting, name) in [("fsync", "fsync = off"), ("full_page_writes", "full_page_writes = off")] {
        for statement in [format!("alter system set {name}"), "select pg_reload_conf()".to_owned()] {
            admin.execute(AssertSqlSafe(statement)).await.expect("set");
        }
        let waited = timeout(Duration::from_secs(10), async { while store.heartbeat(NOW).await.is_ok() {} });
        waited.await.expect("it is noticed");
        for refused in [store.heartbeat(NOW).await.err(), Store::open(&url, Opening::serving(NOW)).await.err()] {
            let refused = refused.expect("it forgets").to_string();
            assert!(refused.contains(name), "{refused}");
        }
        for statement in [format!("alter system reset {setting}"), "select pg_reload_conf()".to_owned()] {
            admin.execute(AssertSqlSafe(statement)).await.expect("set");
        }
        let waited = timeout(Duration::from_secs(10), async { while store.heartbeat(NOW).await.is_err() {} });
        waited.await.expect("it keeps again");
    }
}
