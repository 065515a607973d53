//! `bursar config`: what is wrong with a configuration, and what holds by it. Neither needs the database.

use std::path::{Path, PathBuf};

use ::jobs::{Clock, JOBS, Registered, next_slot};
use clap::{Subcommand, ValueEnum};
use rules::Timestamp;
use serde_json::json;

use crate::cli::books::SHIPPED_CONFIG;
use crate::cli::out::say;
use crate::cli::{DONE, Format};
use crate::input;
use crate::tables::{counted, table};

/// Runs that are told of each job.
const AHEAD: usize = 5;

#[derive(Subcommand)]
pub enum Config {
    /// Check a configuration and the price lists that it names; tells all problems at once
    ///
    /// Each problem has its file, line and key, and the exit status is 2. Otherwise it tells when each job runs next.
    ///
    /// Examples:
    ///   bursar config check config/bursar.toml
    ///   bursar config check config/bursar.toml --format json
    #[command(verbatim_doc_comment)]
    Check {
        #[arg(default_value = SHIPPED_CONFIG)]
        file: PathBuf,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Print the configuration that holds, with all defaults filled in and passwords starred out
    ///
    /// Examples:
    ///   bursar config show config/bursar.toml
    ///   bursar config show config/bursar.toml --format json
    #[command(verbatim_doc_comment)]
    Show {
        #[arg(default_value = SHIPPED_CONFIG)]
        file: PathBuf,
        #[arg(long, value_enum, default_value_t = Written::Toml)]
        format: Written,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Written {
    Toml,
    Json,
}

pub fn run(command: Config) -> anyhow::Result<u8> {
    match command {
        Config::Check { file, format } => check(&file, format),
        Config::Show { file, format } => show(&file, format),
    }
}

fn check(file: &Path, format: Format) -> anyhow::Result<u8> {
    let (_, lists) = input::Config::read_whole(file)?;
    let now = Clock::system().now();
    let mut table = table(&["job", "cron, in UTC", "next runs"], &[]);
    let mut jobs = Vec::new();
    for job in &JOBS {
        let next: Vec<String> = next_slots(job, now).map(|slot| slot.to_string()).collect();
        table.add_row([job.name, job.cron, &next.join("\n")]);
        jobs.push(json!({ "job": job.name, "cron": job.cron, "next": next }));
    }
    let lists: Vec<String> = lists.iter().map(|list| list.path.display().to_string()).collect();
    let text = format!("{}: fine; {}\n{table}", file.display(), counted(lists.len(), "price list"));
    format.print(&json!({ "file": file, "price_lists": lists, "as_of": now.to_string(), "jobs": jobs }), &text)?;
    Ok(DONE)
}

/// The next slots of a job, as its schedule has them.
fn next_slots(job: &'static Registered, now: Timestamp) -> impl Iterator<Item = Timestamp> {
    std::iter::successors(next_slot(job, now), |slot| next_slot(job, *slot)).take(AHEAD)
}

fn show(file: &Path, format: Written) -> anyhow::Result<u8> {
    let shown = input::Config::read(file)?.shown();
    match format {
        Written::Toml => say(toml::to_string(&shown)?.trim_end())?,
        Written::Json => say(format_args!("{shown:#}"))?,
    }
    Ok(DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_runs_are_the_cron_lines() {
        let now = Timestamp::parse("2028-02-28T23:59:59Z").expect("a time");
        let next = |job: &str| {
            let job = ::jobs::job(job).expect("a job");
            next_slots(job, now).map(|slot| slot.to_string()).collect::<Vec<_>>()
        };
        let midnights = ["2028-02-29", "2028-03-01", "2028-03-02", "2028-03-03", "2028-03-04"];
        assert_eq!(next("bill_instances"), midnights.map(|day| format!("{day}T00:00:00Z")));
        let months = ["2028-03", "2028-04", "2028-05", "2028-06", "2028-07"];
        assert_eq!(next("issue_invoices"), months.map(|month| format!("{month}-01T00:00:00Z")));
    }
}
