//! A scenario of 1,000 services through a year, by the simulator: every midnight, run and job.

use std::time::Duration;

use bursar::input::{Entry, Scenario, Verb, Whose};
use bursar::simulate::simulate;
use jobs::Stopwatch;
use rules::{Policy, Timestamp};
use store::{Opening, Scope};

use crate::world::{World, create, fund, plans};
use crate::{median, ratio};

const START: Timestamp = Timestamp::from_secs(1_767_225_600);
const ACCOUNTS: usize = 250;
/// Each account's services.
const PLANS: [&str; 4] = ["daily", "daily", "term", "monthly"];

pub async fn run(rounds: u32) -> anyhow::Result<()> {
    println!("{} services of {ACCOUNTS} accounts through a year, by the simulator.", ACCOUNTS * PLANS.len());
    println!("The floor settles each account once, at the year's end: the same books without a night.\n");
    let (mut plays, mut floors) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let play = play().await?;
        let floor = settle_once().await?;
        println!("  round {round}: {play:>10.3?}, floor {floor:>10.3?}");
        plays.push(play);
        floors.push(floor);
    }
    let (play, floor) = (median(plays), median(floors));
    println!("{play:.3?} for the year, {} of the floor (goal: under 30 s)", ratio(play, floor));
    Ok(())
}

async fn play() -> anyhow::Result<Duration> {
    let mut timeline = Vec::new();
    for account in (0..ACCOUNTS).map(|n| format!("a{n}")) {
        let open = Verb::OpenAccount {
            account: account.clone(),
            currency: None,
            trial: false,
            resume_on_deposit: false,
            card: None,
        };
        timeline.push(Entry { at: START, verb: open });
        timeline.push(Entry { at: START, verb: Verb::Act { whose: Whose::Account(account.clone()), action: fund() } });
        for (index, plan) in PLANS.iter().enumerate() {
            let action = create(format!("{account}-{index}"), plan);
            timeline.push(Entry { at: START, verb: Verb::Act { whose: Whose::Account(account.clone()), action } });
        }
    }
    let scenario = Scenario { policy: Policy::default(), plans: plans(), timeline, until: START.plus_months(12) };
    let watch = Stopwatch::start();
    let outcome = simulate(&scenario, None, None, |_| {}).await?;
    let elapsed = watch.elapsed();
    anyhow::ensure!(outcome.entries.len() > 365 * ACCOUNTS * 2, "only {} entries", outcome.entries.len());
    Ok(elapsed)
}

async fn settle_once() -> anyhow::Result<Duration> {
    let world = World::new(START, Opening::scratch(START)).await?;
    let watch = Stopwatch::start();
    let ids = world.open((0..ACCOUNTS).map(|n| format!("a{n}")), START).await?;
    let mut accounts = Vec::new();
    for account in world.office.store.accounts_load(&ids, Scope::Unfinished).await? {
        accounts.push(account?);
    }
    world.act_on_all(&mut accounts, START, |_| fund()).await?;
    for (index, plan) in PLANS.iter().enumerate() {
        world.act_on_all(&mut accounts, START, |account| create(format!("{}-{index}", account.name), plan)).await?;
    }
    world.settle_all(&mut accounts, START.plus_months(12)).await?;
    Ok(watch.elapsed())
}
