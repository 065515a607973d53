//! `cargo run --release -p bench -- NAME`: the benchmarks, each beside its floor in the same run.

mod flat;
mod small_years;
mod world;
mod year;

use std::time::Duration;

use clap::{Parser, ValueEnum};

#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    #[arg(value_enum)]
    name: Name,
    /// Rounds of each mode, in turn; the medians are printed last
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// A scenario of 1,000 services through a year
    Year,
    /// Years of 5 accounts and 8 services through rules and store
    SmallYears,
    /// A midnight of 1,000, 10,000 and 100,000 instances
    Flat,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match cli.name {
            Name::Year => year::run(cli.rounds).await,
            Name::SmallYears => small_years::run(cli.rounds).await,
            Name::Flat => flat::run(cli.rounds).await,
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
