//! The standard load: a host of daily instances moves here from an import file, and its first midnight is billed. Each
//! of both runs in a process of its own, whose peak memory is then its own too.

pub mod figures;
mod file;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use bursar::import::{Looked, Source, bring_in, look, terms};
use bursar::input::Arrivals;
use jobs::{Office, Stopwatch};
use rules::{AccountId, Timestamp};
use store::Opening;

pub use self::file::{Sold, write as write_file};
use crate::ratio;
use crate::world::World;

/// Instances of an account.
pub const INSTANCES: usize = 10;

const START: Timestamp = Timestamp::from_secs(1_767_225_600);

#[derive(clap::Args)]
pub struct LoadArgs {
    /// How many instances, ten of each account
    #[arg(long, value_delimiter = ',', default_value = "10000,100000", value_parser = size)]
    sizes: Vec<usize>,
}

#[derive(clap::Args)]
pub struct OneArgs {
    step: Step,
    #[arg(value_parser = size)]
    size: usize,
    folder: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Step {
    BringIn,
    Settle,
}

pub fn size(text: &str) -> Result<usize, String> {
    let size = text.parse().ok().filter(|size: &usize| *size > 0 && size.is_multiple_of(INSTANCES));
    size.ok_or_else(|| format!("{text:?}: a size is a multiple of {INSTANCES}, like 10000"))
}

pub fn run(args: &LoadArgs) -> anyhow::Result<()> {
    println!("A host of daily instances, {INSTANCES} an account: brought in from a file, then a midnight of them.");
    println!("On SQLite with synchronous=FULL. The floor reads and decides and does not write.");
    println!("Goal: 100,000 are brought in in under 60 s.");
    for size in &args.sizes {
        let folder = tempfile::tempdir()?;
        println!("\n{size} instances");
        for step in ["bring-in", "settle"] {
            let one = Command::new(env::current_exe()?)
                .args(["load-one", step, &size.to_string()])
                .arg(folder.path())
                .status()?;
            anyhow::ensure!(one.success(), "{size} instances: {one}");
        }
    }
    Ok(())
}

/// One step of one size. A floor holds no more at a time than what it is the floor of.
pub async fn run_one(args: &OneArgs) -> anyhow::Result<()> {
    let OneArgs { step, size, folder } = args;
    let world = World::in_folder(folder, START, Opening::serving(START)).await?;
    match step {
        Step::BringIn => {
            let file = folder.join("move.jsonl");
            file::write(&file, Sold::DAILY, *size, START)?;
            let took = import(&world, &file).await?;
            let peak = figures::peak_memory()?;
            print("brought in", *size, took, import_floor(&world, &file, *size).await?, &peak);
            world.office.store.close().await;
        }
        Step::Settle => {
            // The floor first: behind the midnight nothing is left to decide. It holds a batch at a time.
            let floor = midnight_floor(&world).await?;
            print("settled", *size, midnight(&world, *size).await?, floor, &figures::peak_memory()?);
            // What is still beside the file comes into it.
            world.office.store.close().await;
            println!("  the books take {}", figures::mebibytes(fs::metadata(world.path())?.len()));
        }
    }
    Ok(())
}

fn print(what: &str, size: usize, took: Duration, floor: Duration, peak: &str) {
    let each_second = figures::each_second(size, took);
    let (took_secs, ratio) = (figures::seconds(took), ratio(took, floor));
    print!("  {what:<10} in {took_secs:>7} s, {each_second:>6} a second, {ratio:>5} of the floor");
    println!("; peak memory {peak}");
}

async fn import(world: &World, file: &Path) -> anyhow::Result<Duration> {
    let watch = Stopwatch::start();
    bring_in_file(&world.office, file, START).await?;
    Ok(watch.elapsed())
}

/// As `bursar import` does: the file is checked whole, then brought in.
pub async fn bring_in_file(office: &Office, file: &Path, at: Timestamp) -> anyhow::Result<()> {
    let source = Source::of(file)?;
    let checked = match look(office, &source, Some(at)).await? {
        Looked::Fine(checked) => checked,
        Looked::Wrong(problems) => return Err(problems.into()),
        Looked::Done(import) => anyhow::bail!("brought in as of {} already", import.at),
        Looked::GivenUp { given_up, .. } => anyhow::bail!("given up at {}", given_up.at),
    };
    bring_in(office, &source, *checked, "bench".to_owned(), |_| {}).await?;
    Ok(())
}

async fn import_floor(world: &World, file: &Path, size: usize) -> anyhow::Result<Duration> {
    let watch = Stopwatch::start();
    let mut arrivals = Arrivals::open(file, terms(&world.office, START).await?)?;
    let mut services = 0;
    while let Some(imported) = arrivals.next_account() {
        let changes = world.office.with_context(|cx| rules::bring_in(imported.arrival, cx, START))?;
        services += changes.account.services.len();
    }
    arrivals.finish()?;
    let elapsed = watch.elapsed();
    anyhow::ensure!(services == size, "{services} of {size} instances were read");
    Ok(elapsed)
}

async fn midnight_floor(world: &World) -> anyhow::Result<Duration> {
    let store = &world.office.store;
    let range = store.account_ids_range().await?;
    let (first, last) = range.context("no account was brought in")?;
    let batch = u32::try_from(jobs::BATCH_ACCOUNTS)?;
    let mut after = AccountId(first.0 - 1);
    let watch = Stopwatch::start();
    loop {
        let ids = store.account_ids(after, last, batch).await?;
        let Some(end) = ids.last() else { break };
        after = *end;
        world.office.decide(&ids, START.next_midnight()).await?;
    }
    Ok(watch.elapsed())
}

async fn midnight(world: &World, size: usize) -> anyhow::Result<Duration> {
    let midnight = START.next_midnight();
    world.office.clock.advance_to(midnight);
    let job = jobs::job("bill_instances").context("no such job")?;
    let watch = Stopwatch::start();
    let run = jobs::open_slot(&world.office, job, midnight).await?;
    let run = run.context("the midnight was billed before")?;
    let tally = jobs::work_run(&world.office, job, &run, "bench").await?;
    let elapsed = watch.elapsed();
    let billed = tally.counts.get("period").copied().unwrap_or_default();
    anyhow::ensure!(usize::try_from(billed)? == size, "{billed} of {size} instances were billed");
    Ok(elapsed)
}
