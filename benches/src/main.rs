//! `cargo run --release -p bench -- NAME`: the benchmarks, each beside its floor in the same run.

mod flat;
mod http;
mod idle;
mod load;
mod midnight;
#[path = "../../tests/support/servers.rs"]
#[expect(dead_code, reason = "the tests do more with their servers")]
mod servers;
mod small_years;
mod wake;
mod world;
mod year;

use std::time::Duration;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    name: Name,
}

#[derive(Subcommand)]
enum Name {
    /// A scenario of 1,000 services through a year
    Year(Rounds),
    /// Years of 5 accounts and 8 services through rules and store
    SmallYears(Rounds),
    /// A midnight of 1,000, 10,000 and 100,000 instances
    Flat(Rounds),
    /// A midnight beside the same rows put in by COPY, and beside a transaction for each instance
    Midnight(midnight::MidnightArgs),
    /// The HTTP API beside a bare server on the same database
    Http(http::HttpArgs),
    /// A host brought in from a file, and its first midnight, with the memory that they take
    Load(load::LoadArgs),
    /// A wake from its push to the worker that takes it
    Wake(wake::WakeArgs),
    /// What a daemon without work takes
    Idle(idle::IdleArgs),
    #[command(hide = true)]
    LoadOne(load::OneArgs),
    #[command(hide = true)]
    IdleOne(idle::OneArgs),
}

#[derive(clap::Args)]
struct Rounds {
    /// Rounds of each mode, in turn; the medians are printed last
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().name {
        Name::Year(Rounds { rounds }) => alone(year::run(rounds)),
        Name::SmallYears(Rounds { rounds }) => alone(small_years::run(rounds)),
        Name::Flat(Rounds { rounds }) => alone(flat::run(rounds)),
        Name::Midnight(args) => midnight::run(&args),
        Name::Http(args) => http::run(&args),
        Name::Wake(args) => wake::run(&args),
        Name::Idle(args) => idle::run(&args),
        Name::Load(args) => load::run(&args),
        Name::LoadOne(args) => alone(load::run_one(&args)),
        Name::IdleOne(args) => idle::run_one(args),
    }
}

/// On one thread.
fn alone(benchmark: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(benchmark)
}

/// The middle one of some times.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// `a / b` with two decimals, in integers as everything here.
fn ratio(a: Duration, b: Duration) -> String {
    let hundredths = a.as_nanos() * 100 / b.as_nanos().max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
