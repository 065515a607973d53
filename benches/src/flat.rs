//! The cost of one instance at midnight, from 1,000 instances to 100,000: the daemon's own run, fully durable.

use std::time::Duration;

use jobs::Stopwatch;
use rules::Timestamp;
use store::{Opening, Scope};

use crate::world::{World, create, fund};
use crate::{median, ratio};

/// Instances of an account.
const INSTANCES: usize = 10;

const START: Timestamp = Timestamp::from_secs(1_767_225_600);

pub async fn run(rounds: u32) -> anyhow::Result<()> {
    println!("A midnight of daily instances, {INSTANCES} an account, on SQLite with synchronous=FULL.");
    println!("The floor decides and does not write.\n");
    let mut smallest = None;
    for instances in [1_000, 10_000, 100_000] {
        let (mut runs, mut floors) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            let (run, floor) = midnight(instances).await?;
            println!("  {instances:>7} instances, round {round}: {run:>10.3?}, floor {floor:>10.3?}");
            runs.push(run);
            floors.push(floor);
        }
        let (run, floor) = (median(runs), median(floors));
        let each = run / u32::try_from(instances)?;
        let first = *smallest.get_or_insert(each);
        println!(
            "{instances:>9} instances: {each:?} each, {} of the cost at 1,000, {} of the floor\n",
            ratio(each, first),
            ratio(run, floor)
        );
    }
    Ok(())
}

async fn midnight(instances: usize) -> anyhow::Result<(Duration, Duration)> {
    let world = World::new(START, Opening::serving(START)).await?;
    let ids = world.open((0..instances / INSTANCES).map(|n| format!("a{n}")), START).await?;
    let mut accounts = load(&world, &ids).await?;
    world.act_on_all(&mut accounts, START, |_| fund()).await?;
    for instance in 0..INSTANCES {
        world
            .act_on_all(&mut accounts, START, |account| create(format!("{}-{instance}", account.name), "daily"))
            .await?;
    }
    let midnight = START.next_midnight();
    let floor = Stopwatch::start();
    for batch in ids.chunks(jobs::BATCH_ACCOUNTS) {
        world.office.decide(batch, midnight).await?;
    }
    let floor = floor.elapsed();
    world.office.clock.advance_to(midnight);
    let job = jobs::job("bill_instances").ok_or_else(|| anyhow::anyhow!("no such job"))?;
    let watch = Stopwatch::start();
    let run = jobs::open_slot(&world.office, job, midnight).await?;
    let run = run.ok_or_else(|| anyhow::anyhow!("the midnight was billed before"))?;
    let tally = jobs::work_run(&world.office, job, &run, "bench").await?;
    let elapsed = watch.elapsed();
    let billed = tally.counts.get("period").copied().unwrap_or_default();
    anyhow::ensure!(usize::try_from(billed)? == instances, "{billed} of {instances} instances were billed");
    Ok((elapsed, floor))
}

async fn load(world: &World, ids: &[rules::AccountId]) -> anyhow::Result<Vec<rules::Account>> {
    let mut accounts = Vec::with_capacity(ids.len());
    for page in ids.chunks(1000) {
        for account in world.office.store.accounts_load(page, Scope::Unfinished).await? {
            accounts.push(account?);
        }
    }
    Ok(accounts)
}
