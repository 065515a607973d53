//! `cargo run --release -p bench -- NAME`: the benchmarks, each beside its floor in the same run.

mod flat;
mod load;
mod midnight;
#[path = "../../tests/support/servers.rs"]
#[expect(dead_code, reason = "the tests do more with their servers")]
mod servers;
mod small_years;
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
    /// A host brought in from a file, and its first midnight, with the memory that they take
    Load(load::LoadArgs),
    #[command(hide = true)]
    LoadOne(load::OneArgs),
}

#[derive(clap::Args)]
struct Rounds {
    /// Rounds of each mode, in turn; the medians are printed last
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if let Name::Midnight(args) = &cli.name {
        return midnight::run(args);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match cli.name {
            Name::Year(Rounds { rounds }) => year::run(rounds).await,
            Name::SmallYears(Rounds { rounds }) => small_years::run(rounds).await,
            Name::Flat(Rounds { rounds }) => flat::run(rounds).await,
            Name::Load(args) => load::run(&args),
            Name::LoadOne(args) => load::run_one(&args).await,
            Name::Midnight(_) => Ok(()),
        }
    })
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
