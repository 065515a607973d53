//! The API under 64 connections: an account read, and a deposit booked. The floor is a bare axum server in its place
//! that asks the same questions of the same database, and writes the same rows, many deposits to a commit.

mod floor;
mod load;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bursar::http::secrets::Secret;
use bursar::input::Config;
use bursar::serve::{Role, Server};
use jobs::{Clock, Office};
use providers::NoCards;
use rules::{NewAccount, Timestamp};
use store::{KeyScope, NewKey, Opening, Store};

use crate::http::load::{Measured, Wanted, press};
use crate::ratio;
use crate::servers::Server as DatabaseServer;
use crate::world::{create, fund, plans};

const ACCOUNTS: usize = 300;
const SERVICES: usize = 3;
/// So that no key asks for more than one may.
const KEYS: usize = 32;

#[derive(clap::Args)]
pub struct HttpArgs {
    /// Rounds of each side, in turn
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Seconds of each round
    #[arg(long, default_value_t = 8)]
    seconds: u32,
}

pub fn run(args: &HttpArgs) -> anyhow::Result<()> {
    println!("{ACCOUNTS} accounts of {SERVICES} services, 64 connections from wrk on the same cores.");
    println!("Goal: 0.7 of the floor's requests a second, and its p99 at most 1.5 times.\n");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    runtime.block_on(on(&format!("sqlite:{}", folder.path().join("books.db").display()), "SQLite", args))?;
    let server = DatabaseServer::postgres();
    runtime.block_on(on(&server.new_database(), "PostgreSQL", args))
}

async fn on(url: &str, what: &str, args: &HttpArgs) -> anyhow::Result<()> {
    let keys = found(url).await?;
    let config = Config { database: url.to_owned(), listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    let server = Server::start(&config, Role::All, Clock::system(), Arc::new(NoCards)).await?;
    let (address, stop) = (server.address(), server.office().stop.clone());
    let running = tokio::spawn(server.run());
    let floor = floor::serve(url).await?;
    // The daemon says that it is alive, and the floor's connections are made.
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("{what}");
    for wanted in [Wanted::Account, Wanted::Deposit] {
        let mut best: [Option<Measured>; 2] = [None, None];
        for round in 0..args.rounds {
            for (side, at) in [address, floor].into_iter().enumerate() {
                let measured = side_of(wanted, at, &keys, &format!("{what}-{side}-{round}"), args.seconds).await?;
                best[side] = best[side].filter(|best| best.per_second >= measured.per_second).or(Some(measured));
            }
        }
        let [Some(ours), Some(least)] = best else { continue };
        let (of_requests, of_p99) = (ratio_of(ours.per_second, least.per_second), ratio(ours.p99, least.p99));
        println!("  {wanted:<8} {ours}; the floor {least}: {of_requests} of its requests, {of_p99} times its p99");
    }
    stop.ask();
    running.await?
}

async fn side_of(
    wanted: Wanted,
    at: SocketAddr,
    keys: &[String],
    mark: &str,
    seconds: u32,
) -> anyhow::Result<Measured> {
    let (keys, mark) = (keys.to_vec(), mark.to_owned());
    tokio::task::spawn_blocking(move || press(wanted, at, &keys, &mark, seconds, ACCOUNTS)).await?
}

fn ratio_of(ours: u64, least: u64) -> String {
    ratio(Duration::from_nanos(ours), Duration::from_nanos(least))
}

/// New books with customers in them; keys for them.
async fn found(url: &str) -> anyhow::Result<Vec<String>> {
    let clock = Clock::system();
    let now = clock.now();
    let store = Store::open(url, Opening::serving(now)).await?;
    store.price_list_insert(&plans(), Timestamp::BEGINNING, "bench", now).await?;
    let policy = Config::default().policy;
    let office = Office::open(store, clock, policy.clone(), Arc::new(NoCards)).await?;
    office.adopt(&policy).await?;
    for number in 0..ACCOUNTS {
        let name = format!("acc-{number}");
        let new = NewAccount { name, currency: None, trial: false, resume_on_deposit: false, card: None };
        let id = office.open_account(new, now).await?;
        let refused = |why: rules::Refusal| anyhow::anyhow!("refused: {}", why.name());
        office.act(id, &fund(), now).await?.map_err(refused)?;
        for service in 0..SERVICES {
            office.act(id, &create(format!("acc-{number}-{service}"), "daily"), now).await?.map_err(refused)?;
        }
    }
    let mut keys = Vec::new();
    for _ in 0..KEYS {
        keys.push(key(&office, now).await?);
    }
    office.store.close().await;
    Ok(keys)
}

async fn key(office: &Office, now: Timestamp) -> anyhow::Result<String> {
    let secret = Secret::fresh()?;
    let key = NewKey {
        prefix: &secret.prefix,
        digest: &secret.digest,
        name: "bench",
        scope: KeyScope::Admin,
        account: None,
        made_by: None,
        created_by: "bench",
        expires_at: None,
    };
    office.store.key_insert(&key, now).await?;
    Ok(secret.text)
}
