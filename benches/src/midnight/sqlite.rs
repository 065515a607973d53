//! On SQLite, whose floor inserts the rows from another file within the engine, in one transaction: less than any
//! program's prepared inserts, which have to bind each cell.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jobs::Stopwatch;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};

use super::{
    BALANCED, CHARGES, INVOICES, LINES, MIDNIGHT, MidnightArgs, PERIODS, Rounds, Took, fill, naive, night, print,
    print_memory,
};

/// What a night adds to the ledger and the outbox, put aside.
const PUT_ASIDE: [&str; 2] = [
    "create table added.transfers as select * from transfers where effective_at = $1 order by account_id, number",
    "create table added.events as select * from events where at = $1 order by account_id, number",
];

const ADD: [&str; 2] =
    ["insert into transfers select * from added.transfers", "insert into events select * from added.events"];

pub async fn run(args: &MidnightArgs) -> anyhow::Result<()> {
    println!(
        "A midnight of {} daily instances on SQLite with synchronous=FULL, previews and checks included.",
        args.instances
    );
    println!("The floor inserts the same rows into the same tables in one transaction, from a file beside.\n");
    let folder = tempfile::tempdir()?;
    let [template, monthly, done, added] =
        ["template.db", "monthly.db", "done.db", "added.db"].map(|name| folder.path().join(name));
    fill(&url(&template), &CHARGES, args.instances, folder.path()).await?;
    fs::copy(&template, &done)?;
    night(&url(&done), &CHARGES, args.instances).await?;
    print_memory()?;
    let lines = INVOICES.instances(args.instances);
    fill(&url(&monthly), &INVOICES, lines, folder.path()).await?;
    put_aside(&done, &added).await?;
    let mut rounds = Rounds::default();
    for round in 0..args.rounds {
        println!("round {}", round + 1);
        for mode in 0..4 {
            let (mode, file) = ((mode + round) % 4, folder.path().join("night.db"));
            fs::copy(if mode == 3 { &monthly } else { &template }, &file)?;
            fs::File::open(&file)?.sync_all()?;
            let (what, into, time, instances) = match mode {
                0 => ("bursar", &mut rounds.runs, night(&url(&file), &CHARGES, args.instances).await?, args.instances),
                1 => ("floor", &mut rounds.floors, insert(&file, &added).await?, args.instances),
                2 => {
                    let time = naive::on_sqlite(&mut open(&file).await?, args.naive).await?;
                    ("naive", &mut rounds.naives, time, usize::try_from(args.naive)?)
                }
                _ => ("invoices", &mut rounds.invoices, night(&url(&file), &INVOICES, lines).await?, lines),
            };
            check(&file, if mode == 3 { LINES } else { PERIODS }, instances, mode != 1).await?;
            let took = Took { time, instances, wal: None };
            print(what, &took);
            into.push(took);
            fs::remove_file(&file)?;
        }
    }
    rounds.conclude("the floor");
    Ok(())
}

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

async fn open(file: &Path) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("cache_size", "-32768");
    Ok(options.connect().await?)
}

/// A connection to one file that knows the rows put aside too.
async fn beside(file: &Path, added: &Path) -> anyhow::Result<SqliteConnection> {
    let mut connection = open(file).await?;
    let attach = AssertSqlSafe(format!("attach database '{}' as added", added.display()));
    sqlx::query(attach).execute(&mut connection).await?;
    Ok(connection)
}

async fn put_aside(done: &Path, added: &Path) -> anyhow::Result<()> {
    let mut connection = beside(done, added).await?;
    for rows in PUT_ASIDE {
        sqlx::query(rows).bind(MIDNIGHT.secs()).execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

async fn insert(file: &Path, added: &Path) -> anyhow::Result<Duration> {
    let mut connection = beside(file, added).await?;
    let watch = Stopwatch::start();
    let mut transaction = connection.begin().await?;
    for rows in ADD {
        sqlx::query(rows).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    let elapsed = watch.elapsed();
    connection.close().await?;
    Ok(elapsed)
}

async fn check(file: &Path, question: &'static str, instances: usize, has_wallets: bool) -> anyhow::Result<()> {
    let mut connection = open(file).await?;
    let billed: i64 = sqlx::query_scalar(question).bind(MIDNIGHT.secs()).fetch_one(&mut connection).await?;
    if has_wallets {
        let balanced: bool = sqlx::query_scalar(BALANCED).fetch_one(&mut connection).await?;
        anyhow::ensure!(balanced, "wallets are not what their entries come to");
    }
    connection.close().await?;
    anyhow::ensure!(usize::try_from(billed)? == instances, "{billed} charges or lines, not {instances}");
    Ok(())
}
