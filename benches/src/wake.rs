//! How long a wake that has nothing to do takes from its push to the worker that takes it, on PostgreSQL. The floor is
//! a row and its notification, heard by a bare listener on the same server.

use std::time::Duration;

use anyhow::Context as _;
use apalis::prelude::*;
use jobs::{Clock, Stopwatch};
use sqlx::postgres::PgListener;
use sqlx::{Connection as _, Executor as _, PgConnection};
use store::{Opening, Store, Wake, Wakes};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::servers::Server;
use crate::{median, ratio};

/// So that each finds everybody waiting, as wakes at night do.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(clap::Args)]
pub struct WakeArgs {
    /// How many wakes
    #[arg(long, default_value_t = 500)]
    wakes: usize,
}

pub fn run(args: &WakeArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let server = Server::postgres();
    println!("A wake with nothing to do on PostgreSQL, from its push to the worker that takes it.");
    println!("The floor is a row and its notification, heard by a bare listener. Goal: a p50 under 20 ms.\n");
    runtime.block_on(async {
        let wakes = wakes(&server.new_database(), args.wakes).await?;
        let floor = notifications(&server.new_database(), args.wakes).await?;
        let (wake, least) = (print("wake", wakes), print("floor", floor));
        println!("\na wake takes {} times the floor", ratio(wake, least));
        Ok(())
    })
}

/// Prints the distribution; answers its median.
fn print(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() - 1) * percent / 100).copied().unwrap_or_default();
    println!("  {what:<6} p50 {:>9.3?}, p99 {:>9.3?}, longest {:>9.3?}", at(50), at(99), at(100));
    median(times)
}

async fn wakes(url: &str, count: usize) -> anyhow::Result<Vec<Duration>> {
    let opening = Opening::serving(Clock::system().now()).with_queue("bench").named("bench");
    let store = Store::open(url, opening).await?;
    store.queue_setup().await?;
    let Some(Wakes::Postgres(queue)) = store.wakes() else { anyhow::bail!("the queue is not in PostgreSQL") };
    let (taken, mut heard) = unbounded_channel();
    let worker = WorkerBuilder::new("bench").backend(queue).data(taken).build(take);
    let worker = tokio::spawn(async move { worker.run().await });
    // The first one waits for the worker to begin.
    push(&store, &mut heard).await?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        tokio::time::sleep(PAUSE).await;
        let watch = Stopwatch::start();
        push(&store, &mut heard).await?;
        times.push(watch.elapsed());
    }
    worker.abort();
    Ok(times)
}

async fn push(store: &Store, heard: &mut UnboundedReceiver<()>) -> anyhow::Result<()> {
    store.wake(&[Wake { job: "none".to_owned(), run: None, slot: None, shard: None }]).await?;
    heard.recv().await.context("the worker ended")
}

async fn take(_: serde_json::Value, taken: Data<UnboundedSender<()>>) -> Result<(), BoxDynError> {
    Ok(taken.send(())?)
}

async fn notifications(url: &str, count: usize) -> anyhow::Result<Vec<Duration>> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen("floor").await?;
    let mut connection = PgConnection::connect(url).await?;
    connection.execute("create table wakes (id bigint generated always as identity, payload bytea)").await?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        tokio::time::sleep(PAUSE).await;
        let watch = Stopwatch::start();
        let mut transaction = connection.begin().await?;
        sqlx::query("insert into wakes (payload) values ($1)").bind(&b"{}"[..]).execute(&mut *transaction).await?;
        sqlx::query("select pg_notify('floor', '')").execute(&mut *transaction).await?;
        transaction.commit().await?;
        listener.recv().await?;
        times.push(watch.elapsed());
    }
    Ok(times)
}
