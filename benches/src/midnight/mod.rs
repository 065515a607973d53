//! A midnight against the least that any program could do: the very same rows of the ledger and the outbox, put into
//! the same tables with their keys, foreign keys and triggers, without reading or deciding anything.

mod naive;
mod postgres;
mod sqlite;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use jobs::{Band, Clock, Office, Stopwatch};
use providers::ScriptedCards;
use rules::{Policy, Timestamp};
use store::{Opening, Store};

use crate::load::{Sold, bring_in_file, figures, size, write_file};
use crate::world::plans;
use crate::{median, ratio};

const START: Timestamp = Timestamp::from_secs(1_769_817_600);

/// The one that is billed, of a 1st.
const MIDNIGHT: Timestamp = Timestamp::from_secs(1_769_817_600 + 86_400);

const WORKER: &str = "bench";

/// How many charges and lines there are of that second.
const PERIODS: &str = "select count(*) from transfers where kind = 'period' and effective_at = $1";
const LINES: &str = "select count(*) from invoice_lines l join invoices i
    on i.account_id = l.account_id and i.number = l.invoice where i.issued_at = $1";

/// Whether each wallet is what its entries come to.
const BALANCED: &str = "select count(*) = 0 from accounts a left join (
        select account_id,
            sum(case when credit = 'wallet' then amount when debit = 'wallet' then -amount else 0 end) as sum
        from transfers group by account_id
    ) t on t.account_id = a.id where a.wallet <> coalesce(t.sum, 0)";

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum On {
    Sqlite,
    Postgres,
}

#[derive(clap::Args)]
pub struct MidnightArgs {
    #[arg(value_enum)]
    on: On,
    /// How many instances, ten of each account
    #[arg(long, default_value = "100000", value_parser = size)]
    instances: usize,
    /// Rounds of each mode, in turn
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How many instances the naive client bills, a transaction each
    #[arg(long, default_value_t = 5_000)]
    naive: u32,
}

/// What one way took: its time, how many instances it billed and how many bytes of WAL it wrote, where that is known.
#[derive(Clone, Copy)]
struct Took {
    time: Duration,
    instances: usize,
    wal: Option<u64>,
}

impl Took {
    fn each(&self) -> Duration {
        self.time / u32::try_from(self.instances).unwrap_or(u32::MAX).max(1)
    }
}

/// A job's work of that midnight.
struct Work {
    sold: Sold,
    job: &'static str,
    /// What it counts, and of how many instances that is one.
    counts: (&'static str, usize),
}

/// A charge for each instance.
const CHARGES: Work = Work { sold: Sold::DAILY, job: "bill_instances", counts: ("period", 1) };

/// An invoice for each account, with a line for each server.
const INVOICES: Work =
    Work { sold: Sold::MONTHLY, job: "issue_invoices", counts: ("invoice.issued", Sold::MONTHLY.each) };

impl Work {
    /// How many of its instances make about `size`.
    const fn instances(&self, size: usize) -> usize {
        size / self.sold.each * self.sold.each
    }
}

#[derive(Default)]
struct Rounds {
    runs: Vec<Took>,
    floors: Vec<Took>,
    naives: Vec<Took>,
    invoices: Vec<Took>,
}

pub fn run(args: &MidnightArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match args.on {
            On::Sqlite => sqlite::run(args).await,
            On::Postgres => postgres::run(args).await,
        }
    })
}

/// Fills new books from an import file, as a host that moves here does.
async fn fill(url: &str, work: &Work, instances: usize, folder: &Path) -> anyhow::Result<()> {
    let file = folder.join("move.jsonl");
    write_file(&file, work.sold, instances, START)?;
    let store = Store::open(url, Opening::serving(START)).await?;
    store.price_list_insert(&plans(), Timestamp::BEGINNING, "bench", START).await?;
    let office = office(store, START).await?;
    bring_in_file(&office, &file, START).await?;
    office.store.close().await;
    Ok(())
}

async fn office(store: Store, now: Timestamp) -> anyhow::Result<Office> {
    let cards = Arc::new(ScriptedCards::default());
    Ok(Office::open(store, Clock::simulated(now), Policy::default(), cards).await?)
}

/// The daemon's own run: opened with its preview, worked off by as many workers as the daemon has.
async fn night(url: &str, work: &Work, instances: usize) -> anyhow::Result<Duration> {
    let store = Store::open(url, Opening::serving(MIDNIGHT).named(WORKER)).await?;
    let office = office(store, MIDNIGHT).await?.with_band(Some(Band::default()));
    let job = jobs::job(work.job).context("no such job")?;
    let watch = Stopwatch::start();
    let run = jobs::open_slot(&office, job, MIDNIGHT).await?.context("the midnight was billed before")?;
    let shards = office.store.shards(run.id).await?.len();
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..jobs::shards_at_once(&office.store) {
        let (office, next) = (office.clone(), next.clone());
        workers.spawn(async move {
            loop {
                let shard = next.fetch_add(1, Ordering::SeqCst);
                if shard >= shards {
                    return Ok(());
                }
                let shard = u32::try_from(shard).unwrap_or(u32::MAX);
                jobs::work_shard(&office, job, run.id, shard, WORKER).await?;
            }
        });
    }
    while let Some(worked) = workers.join_next().await {
        let worked: Result<(), jobs::JobError> = worked?;
        worked?;
    }
    let elapsed = watch.elapsed();
    let run = office.store.run(run.id).await?.context("the run is gone")?;
    let (counted, of) = work.counts;
    let done = run.counts.get(counted).copied().unwrap_or_default();
    anyhow::ensure!(usize::try_from(done)? * of == instances, "{done} {counted} of {instances} instances");
    office.store.close().await;
    Ok(elapsed)
}

/// The most that the program ever held, before anything else than its own run is measured.
fn print_memory() -> anyhow::Result<()> {
    println!("A host brought in and a midnight of it held {} at most.\n", figures::peak_memory()?);
    Ok(())
}

fn print(what: &str, took: &Took) {
    let wal = took.wal.map_or_else(String::new, |wal| format!(", {} MiB of WAL", wal >> 20));
    println!("  {what:<8} {:>10.3?}, {:>9.3?} an instance{wal}", took.time, took.each());
}

impl Rounds {
    fn conclude(&self, floor: &str) {
        let medians = |tooks: &[Took]| median(tooks.iter().map(Took::each).collect());
        let (run, least, naive) = (medians(&self.runs), medians(&self.floors), medians(&self.naives));
        println!("\n{run:.3?} an instance: {} of {floor}'s rate", ratio(least, run));
        println!("{} times the naive client's rate", ratio(naive, run));
        let line = medians(&self.invoices);
        println!("{line:.3?} a line of a monthly invoice: {} of the charges' rate", ratio(run, line));
        let wal = |tooks: &[Took]| tooks.iter().filter_map(|took| took.wal).min();
        if let (Some(run), Some(least)) = (wal(&self.runs), wal(&self.floors)) {
            let as_time = Duration::from_micros;
            println!("{} times {floor}'s WAL", ratio(as_time(run), as_time(least)));
        }
    }
}
