//! The midnight that the demo plays live: the daemon itself, over the books that were just written.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use jobs::{Clock, JOBS, Office, Registered, Wakes};
use providers::ScriptedCards;
use rules::{Policy, Timestamp};
use store::{Run, RunState};

use crate::input::Config;
use crate::serve::{Role, Server};

/// How long before midnight the clock starts.
const BEFORE_SECS: i64 = 3;

/// A night that takes so long has gone wrong.
const NIGHT_MAX: Duration = Duration::from_secs(120);

const LOOK: Duration = Duration::from_millis(50);

/// Serves these books through the midnight, until its runs are done and nothing is due.
pub async fn live(
    database: String,
    policy: Policy,
    cards: Arc<ScriptedCards>,
    midnight: Timestamp,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // A rehearsal: nobody would be there to release a held run.
    let config = Config { database, listen, policy, band: None, ..Config::default() };
    let clock = Clock::starting_at(midnight.plus_secs(-BEFORE_SECS));
    let server = Server::start(&config, Role::All, clock, cards).await?;
    let office = server.office().clone();
    let serving = tokio::spawn(server.run());
    let watched = tokio::time::timeout(NIGHT_MAX, watch(&office, midnight, bar)).await;
    office.stop.ask();
    serving.await??;
    watched.unwrap_or_else(|_| anyhow::bail!("the midnight was not done within {} s", NIGHT_MAX.as_secs()))
}

async fn watch(office: &Office, midnight: Timestamp, bar: &ProgressBar) -> anyhow::Result<()> {
    loop {
        let now = office.clock.now();
        bar.set_message(now.to_string());
        if now >= midnight && is_done(office, midnight, bar).await? {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn is_done(office: &Office, midnight: Timestamp, bar: &ProgressBar) -> anyhow::Result<bool> {
    let runs: Vec<Run> =
        office.store.runs(None, 100).await?.into_iter().filter(|run| run.opened_at >= midnight).collect();
    show(office, &runs, bar).await?;
    if let Some(failed) = runs.iter().find(|run| run.state == RunState::Failed) {
        anyhow::bail!("the run of {} failed: {}", failed.job, failed.error.as_deref().unwrap_or("nothing was said"));
    }
    let is_run = |job: &&Registered| runs.iter().any(|run| run.job == job.name && run.slot == Some(midnight));
    if !JOBS.iter().filter(|job| is_of(job, midnight)).all(|job| is_run(&job)) {
        return Ok(false);
    }
    if !office.store.runs_unfinished().await?.is_empty() {
        return Ok(false);
    }
    // What is about no account, like the numbers of documents, comes with its own next minute.
    let of_accounts = JOBS.iter().filter(|job| job.due_kind.is_some());
    for job in of_accounts.filter(|job| job.wakes == Wakes::Sweep || is_of(job, midnight)) {
        if (job.due_count)(office, office.clock.now()).await? > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether that midnight is a slot of this job.
fn is_of(job: &Registered, midnight: Timestamp) -> bool {
    job.wakes == Wakes::Calendar && jobs::next_slot(job, midnight.plus_secs(-1)) == Some(midnight)
}

/// Accounts that are worked off, of all that the runs were opened for.
async fn show(office: &Office, runs: &[Run], bar: &ProgressBar) -> anyhow::Result<()> {
    let (mut done, mut total) = (0, 0);
    for run in runs {
        total += run.total;
        done += match run.state {
            // One run may have settled what another one was opened for.
            RunState::Done => run.total,
            _ => office.store.shards(run.id).await?.iter().map(|shard| shard.done).sum::<u64>().min(run.total),
        };
    }
    bar.set_length(total.max(1));
    bar.set_position(done);
    Ok(())
}
