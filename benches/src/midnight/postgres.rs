//! On PostgreSQL, whose floor is a binary COPY.

use futures_util::TryStreamExt as _;
use jobs::Stopwatch;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{
    BALANCED, CHARGES, INVOICES, LINES, MIDNIGHT, MidnightArgs, PERIODS, Rounds, Took, fill, naive, night, print,
    print_memory,
};
use crate::servers::{Server, copy_database};

/// What a night adds, but for the copies of what is read: the floor writes these and nothing else.
const ADDED: [(&str, &str); 2] = [("transfers", "effective_at"), ("events", "at")];

pub async fn run(args: &MidnightArgs) -> anyhow::Result<()> {
    let (server, folder) = (Server::postgres(), tempfile::tempdir()?);
    println!("A midnight of {} daily instances on PostgreSQL, previews and checks included.", args.instances);
    println!("The floor is a binary COPY of the same rows into the same tables.\n");
    let template = server.new_database();
    fill(&template, &CHARGES, args.instances, folder.path()).await?;
    let done = copy_database(&template);
    night(&done, &CHARGES, args.instances).await?;
    print_memory()?;
    let (monthly, lines) = (server.new_database(), INVOICES.instances(args.instances));
    fill(&monthly, &INVOICES, lines, folder.path()).await?;
    let rows = added(&done).await?;
    let mut rounds = Rounds::default();
    for round in 0..args.rounds {
        println!("round {}", round + 1);
        for mode in 0..4 {
            let mode = (mode + round) % 4;
            let url = copy_database(if mode == 3 { &monthly } else { &template });
            let mut connection = PgConnection::connect(&url).await?;
            connection.execute("checkpoint").await?;
            let before = position(&mut connection).await?;
            // In turn, so that nobody is always first.
            let (what, into, time, instances) = match mode {
                0 => ("bursar", &mut rounds.runs, night(&url, &CHARGES, args.instances).await?, args.instances),
                1 => ("floor", &mut rounds.floors, copy(&mut connection, &rows).await?, args.instances),
                2 => {
                    let time = naive::on_postgres(&mut connection, args.naive).await?;
                    ("naive", &mut rounds.naives, time, usize::try_from(args.naive)?)
                }
                _ => ("invoices", &mut rounds.invoices, night(&url, &INVOICES, lines).await?, lines),
            };
            let wal = position(&mut connection).await?.saturating_sub(before);
            let took = Took { time, instances, wal: u64::try_from(wal).ok() };
            check(&mut connection, if mode == 3 { LINES } else { PERIODS }, instances).await?;
            if mode != 1 {
                let balanced: bool = sqlx::query_scalar(BALANCED).fetch_one(&mut connection).await?;
                anyhow::ensure!(balanced, "{what}: wallets are not what their entries come to");
            }
            print(what, &took);
            into.push(took);
        }
    }
    rounds.conclude("COPY");
    Ok(())
}

async fn position(connection: &mut PgConnection) -> anyhow::Result<i64> {
    let question = "select (pg_current_wal_lsn() - '0/0')::bigint";
    Ok(sqlx::query_scalar(question).fetch_one(connection).await?)
}

/// The rows that the night added, as COPY takes them.
async fn added(done: &str) -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    let mut rows = Vec::new();
    let mut connection = PgConnection::connect(done).await?;
    for (table, second) in ADDED {
        let midnight = MIDNIGHT.secs();
        let out = format!(
            "copy (select * from {table} where {second} = {midnight} order by account_id, number)
                to stdout with (format binary)"
        );
        let stream = connection.copy_out_raw(&out).await?;
        let bytes = stream.try_fold(Vec::new(), |mut all, some| async move {
            all.extend_from_slice(&some);
            Ok(all)
        });
        rows.push((table, bytes.await?));
    }
    Ok(rows)
}

async fn copy(connection: &mut PgConnection, rows: &[(&'static str, Vec<u8>)]) -> anyhow::Result<std::time::Duration> {
    let watch = Stopwatch::start();
    let mut transaction = connection.begin().await?;
    for (table, bytes) in rows {
        let text = format!("copy {table} from stdin with (format binary)");
        let mut copy = transaction.copy_in_raw(&text).await?;
        copy.send(bytes.as_slice()).await?;
        copy.finish().await?;
    }
    transaction.commit().await?;
    Ok(watch.elapsed())
}

async fn check(connection: &mut PgConnection, question: &'static str, instances: usize) -> anyhow::Result<()> {
    let billed: i64 = sqlx::query_scalar(question).bind(MIDNIGHT.secs()).fetch_one(connection).await?;
    anyhow::ensure!(usize::try_from(billed)? == instances, "{billed} charges or lines, not {instances}");
    Ok(())
}
