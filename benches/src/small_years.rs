//! Years of small worlds through rules and store: actions, then a settlement each month.

use std::time::Duration;

use jobs::Stopwatch;
use rules::Timestamp;
use store::{Opening, Scope};

use crate::world::{World, create, fund};
use crate::{median, ratio};

const START: Timestamp = Timestamp::from_secs(1_767_225_600);
const ACCOUNTS: usize = 5;
const SERVICES: [(usize, &str); 8] =
    [(0, "daily"), (0, "monthly"), (1, "daily"), (1, "term"), (2, "daily"), (2, "hourly"), (3, "term"), (4, "monthly")];
/// Worlds that are played together, as one host would have them.
const WORLDS: usize = 100;

pub async fn run(rounds: u32) -> anyhow::Result<()> {
    println!("Years of {ACCOUNTS} accounts and {} services, {WORLDS} at a time, settled each month.", SERVICES.len());
    println!("The floor is the rules alone, without the store.\n");
    let (mut whole, mut floors) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let (with_store, floor) = years().await?;
        println!("  round {round}: {with_store:>10.3?}, floor {floor:>10.3?}");
        whole.push(with_store);
        floors.push(floor);
    }
    let (whole, floor) = (median(whole), median(floors));
    let a_minute = u128::from(60_000_000_u64) * WORLDS as u128 / whole.as_micros().max(1);
    println!("{a_minute} years a minute, {} of the floor (goal: 3000)", ratio(whole, floor));
    Ok(())
}

async fn years() -> anyhow::Result<(Duration, Duration)> {
    let world = World::new(START, Opening::scratch(START)).await?;
    let watch = Stopwatch::start();
    let ids = world.open((0..WORLDS * ACCOUNTS).map(|n| format!("a{n}")), START).await?;
    let mut accounts = Vec::new();
    for account in world.office.store.accounts_load(&ids, Scope::Unfinished).await? {
        accounts.push(account?);
    }
    world.act_on_all(&mut accounts, START, |_| fund()).await?;
    for (index, (owner, plan)) in SERVICES.iter().enumerate() {
        let mut owners: Vec<_> = accounts.iter().skip(*owner).step_by(ACCOUNTS).cloned().collect();
        let name = |account: &rules::Account| format!("{}-{index}", account.name);
        world.act_on_all(&mut owners, START.plus_hours(10), |account| create(name(account), plan)).await?;
        for (slot, account) in accounts.iter_mut().skip(*owner).step_by(ACCOUNTS).zip(owners) {
            *slot = account;
        }
    }
    let before = accounts.clone();
    for month in 1..=12 {
        world.settle_all(&mut accounts, START.plus_months(month)).await?;
    }
    let whole = watch.elapsed();
    let watch = Stopwatch::start();
    for mut account in before {
        for month in 1..=12 {
            let until = START.plus_months(month);
            account = world.office.with_context(|cx| rules::settle(account, cx, until))?.account;
        }
    }
    Ok((whole, watch.elapsed()))
}
