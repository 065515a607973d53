//! `bursar runs`: what ran, what runs, and what waits for somebody to look at it.

use std::time::Duration;

use ::jobs::{Clock, Office, Preview, RunOrder, SCHEDULE, job, open_run, preview_of_held, release as release_run};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use rules::Timestamp;
use serde_json::{Value, json};
use store::{Counts, Moved, Pause, Run, RunId, RunState, Store};

use crate::cli::ask::confirmed;
use crate::cli::author::author;
use crate::cli::books::{Books, NotNow};
use crate::cli::jobs::refuse_paused;
use crate::cli::out::say;
use crate::cli::{DONE, FAILED, Format, LIMIT_MAX, NOT_NOW};
use crate::input::{BadInput, arguments};
use crate::tables::{counted, or_dash, table, written};

/// How often a run that is watched is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// A run that starts so soon is waited for.
const SOON_SECS: i64 = 60;

#[derive(clap::Args)]
pub struct RunsArgs {
    #[command(subcommand)]
    command: RunsCommand,
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    format: Format,
}

#[derive(Subcommand)]
enum RunsCommand {
    /// The newest runs
    ///
    /// Examples:
    ///   bursar runs list
    ///   bursar runs list --job bill_instances --limit 100 --format json
    #[command(verbatim_doc_comment)]
    List {
        /// Of this job alone
        #[arg(long, value_name = "NAME")]
        job: Option<String>,
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=LIMIT_MAX))]
        limit: u32,
    },
    /// One run: who asked, how far it is, what it did, why it is held, and who is parked
    ///
    /// Example:
    ///   bursar runs show 12
    #[command(verbatim_doc_comment)]
    Show { run: i64 },
    /// Follow a run to its end, with its rate and the time left
    ///
    /// Exits with 0 if it is done, 1 if it failed or was cancelled, 4 if it is held, its job is paused, or it is not
    /// to start yet.
    ///
    /// Examples:
    ///   bursar runs watch
    ///   bursar runs watch 12 --format json
    #[command(verbatim_doc_comment)]
    Watch {
        /// Without it, the newest one that is not finished and whose start has come
        run: Option<i64>,
    },
    /// Take back a run that somebody asked for, before it begins; it stays in the list, with who did it and why
    ///
    /// Examples:
    ///   bursar runs cancel 12 --reason "asked for by mistake"
    #[command(verbatim_doc_comment)]
    Cancel {
        run: i64,
        /// For whoever looks later
        #[arg(long, value_name = "TEXT", value_parser = arguments::text)]
        reason: String,
    },
    /// Let a held run go on, after looking at what it would do now
    ///
    /// Examples:
    ///   bursar runs show 12
    ///   bursar runs release 12 --yes
    #[command(verbatim_doc_comment)]
    Release {
        run: i64,
        /// Without asking
        #[arg(long)]
        yes: bool,
    },
    /// Have a failed run, or one that parked accounts, done again by a new run
    ///
    /// Examples:
    ///   bursar runs retry 12
    ///   bursar runs retry --parked
    #[command(verbatim_doc_comment)]
    Retry {
        #[arg(required_unless_present = "parked")]
        run: Option<i64>,
        /// Instead, the accounts that are parked: the daemon tries them within a minute
        #[arg(long, conflicts_with = "run")]
        parked: bool,
    },
}

pub async fn run(args: RunsArgs) -> anyhow::Result<u8> {
    let RunsArgs { command, books, format } = args;
    match command {
        RunsCommand::List { job, limit } => list(&books.store().await?, job.as_deref(), limit, format).await,
        RunsCommand::Show { run } => show(&books.store().await?, RunId(run), format).await,
        RunsCommand::Watch { run } => watch(&books.store().await?, run.map(RunId), format).await,
        RunsCommand::Cancel { run, reason } => cancel(&books, RunId(run), &reason, format).await,
        RunsCommand::Release { run, yes } => release(&books, RunId(run), yes, format).await,
        RunsCommand::Retry { run: Some(run), .. } => retry(&books, RunId(run), format).await,
        RunsCommand::Retry { run: None, .. } => retry_parked(&books, format).await,
    }
}

async fn find(store: &Store, id: RunId) -> anyhow::Result<Run> {
    let found = store.run(id).await?;
    found.ok_or_else(|| BadInput(format!("run {}: there is no such run; see `bursar runs list`", id.0)).into())
}

/// How far a run is: its row has the sums when it ends, until then its shards have them.
pub async fn progress(store: &Store, run: &Run) -> anyhow::Result<u64> {
    if run.finished_at.is_some() {
        return Ok(run.done);
    }
    Ok(store.shards(run.id).await?.iter().map(|shard| shard.done).sum())
}

/// Amounts by currency and counts by kind, in a line.
pub fn summed(moved: &Moved, counts: &Counts) -> String {
    let amounts = moved.iter().map(|(currency, amount)| format!("{currency} {amount}"));
    let counts = counts.iter().map(|(what, times)| format!("{times} {what}"));
    let told: Vec<String> = amounts.chain(counts).collect();
    if told.is_empty() { "Nothing to charge and nothing to change.".to_owned() } else { told.join(", ") }
}

/// A preview for machines: amounts as decimals.
pub fn previewed(preview: &Preview) -> Value {
    json!({
        "slots": preview.slots,
        "accounts": preview.accounts,
        "moved": decimals(&preview.moved),
        "counts": preview.counts,
    })
}

fn decimals(moved: &Moved) -> Value {
    moved.iter().map(|(currency, amount)| (currency.clone(), Value::from(amount.to_string()))).collect()
}

fn read_preview(run: &Run) -> Option<Preview> {
    run.preview.as_deref().and_then(|text| serde_json::from_str(text).ok())
}

async fn list(store: &Store, name: Option<&str>, limit: u32, format: Format) -> anyhow::Result<u8> {
    if let Some(name) = name.filter(|name| job(name).is_none()) {
        return Err(BadInput(format!("--job {name}: there is no such job; see `bursar jobs list`")).into());
    }
    let runs = store.runs(name, limit).await?;
    if format == Format::Json {
        let mut rows = Vec::new();
        for run in &runs {
            rows.push(run_json(run, progress(store, run).await?));
        }
        say(format_args!("{:#}", json!({ "runs": rows })))?;
        return Ok(DONE);
    }
    let mut table = table(&["run", "job", "slot", "asked by", "state", "accounts", "what it did"], &[0, 5]);
    for run in &runs {
        let slot = run.slot.map(|slot| slot.to_string());
        let far = format!("{}/{}", progress(store, run).await?, run.total);
        let state = match run.covered_by {
            Some(by) => format!("covered by {}", by.0),
            None => run.state.name().to_owned(),
        };
        let told = told(run);
        let id = run.id.0.to_string();
        table.add_row([&id, &run.job, or_dash(slot.as_deref()), &run.asked_by, &state, &far, &told]);
    }
    say(table)?;
    Ok(DONE)
}

/// What a run did, or why it does not go on.
fn told(run: &Run) -> String {
    if let Some((by, reason)) = run.cancelled_by.as_ref().zip(run.cancelled_for.as_ref()) {
        return format!("by {by}: {reason}");
    }
    match (&run.error, &run.held_for) {
        (Some(error), _) => error.clone(),
        (None, Some(reason)) if run.state == RunState::Held => reason.clone(),
        _ if run.finished_at.is_none() || (run.moved.is_empty() && run.counts.is_empty()) => "-".to_owned(),
        _ => summed(&run.moved, &run.counts),
    }
}

pub fn run_json(run: &Run, done: u64) -> Value {
    json!({
        "run": run.id,
        "job": run.job,
        "slot": written(run.slot),
        "slots": run.slots,
        "asked_by": run.asked_by,
        "starts_at": written(run.starts_at),
        "retry_of": run.retry_of,
        "state": run.state,
        "preview": read_preview(run).as_ref().map(previewed),
        "held_for": run.held_for,
        "released_at": written(run.released_at),
        "released_by": run.released_by,
        "cancelled_by": run.cancelled_by,
        "cancelled_for": run.cancelled_for,
        "covered_by": run.covered_by,
        "opened_at": written(run.opened_at),
        "started_at": written(run.started_at),
        "finished_at": written(run.finished_at),
        "total": run.total,
        "done": done,
        "moved": decimals(&run.moved),
        "counts": run.counts,
        "error": run.error,
    })
}

async fn show(store: &Store, id: RunId, format: Format) -> anyhow::Result<u8> {
    let run = find(store, id).await?;
    let done = progress(store, &run).await?;
    let shards = store.shards(id).await?;
    let parked = if run.counts.contains_key("parked") { store.parked().await? } else { Vec::new() };
    if format == Format::Json {
        let mut told = run_json(&run, done);
        let shards: Vec<_> = shards
            .iter()
            .map(|shard| {
                json!({
                    "shard": shard.shard,
                    "state": shard.state,
                    "claimed_by": shard.claimed_by,
                    "claimed_until": written(shard.claimed_until),
                    "done": shard.done,
                })
            })
            .collect();
        let parked: Vec<_> = parked.iter().map(|one| json!({ "account": one.name, "error": one.error })).collect();
        told["shards"] = Value::from(shards);
        told["parked"] = Value::from(parked);
        say(format_args!("{told:#}"))?;
        return Ok(DONE);
    }
    for (label, value) in facts(&run, done, shards.len()) {
        say(format_args!("{label:<12} {value}"))?;
    }
    for one in parked {
        say(format_args!("parked       {}: {}; next try {}", one.name, one.error, one.next_try_at))?;
    }
    Ok(DONE)
}

fn facts(run: &Run, done: u64, shards: usize) -> Vec<(&'static str, String)> {
    let mut facts = vec![("run", format!("{} of {}", run.id.0, run.job)), ("state", run.state.name().to_owned())];
    let mut fact = |label, value: Option<String>| facts.extend(value.map(|value| (label, value)));
    let covering = |slot| match run.slots {
        1 => format!("{slot}"),
        more => format!("{slot}, with {} before it", more - 1),
    };
    fact("slot", run.slot.map(covering));
    fact("asked by", Some(format!("{} at {}", run.asked_by, run.opened_at)));
    fact("retry of", run.retry_of.map(|of| of.0.to_string()));
    fact("covered by", run.covered_by.map(|by| by.0.to_string()));
    fact("held for", run.held_for.clone());
    let would =
        |ahead: Preview| format!("{}: {}", counted(ahead.accounts, "account"), summed(&ahead.moved, &ahead.counts));
    fact("would do", read_preview(run).map(would));
    fact("released", run.released_at.zip(run.released_by.as_ref()).map(|(at, by)| format!("by {by} at {at}")));
    let cancelled = run.cancelled_by.as_ref().zip(run.cancelled_for.as_ref());
    fact("cancelled", cancelled.map(|(by, reason)| format!("by {by}: {reason}")));
    fact("starts", (run.started_at.is_none() && run.covered_by.is_none()).then(|| run.starts_at.to_string()));
    fact("started", run.started_at.map(|at| at.to_string()));
    fact("accounts", Some(format!("{done} of {}, in {shards} shards", run.total)));
    fact("finished", run.finished_at.map(|at| at.to_string()));
    fact("did", run.finished_at.map(|_| summed(&run.moved, &run.counts)));
    fact("error", run.error.clone());
    if run.state == RunState::Held {
        fact("to do", Some(format!("correct what is wrong, or: bursar runs release {}", run.id.0)));
    }
    facts
}

async fn watch(store: &Store, id: Option<RunId>, format: Format) -> anyhow::Result<u8> {
    let id = match id {
        Some(id) => find(store, id).await?.id,
        None => match to_watch(store.runs_unfinished().await?, Clock::system().now()) {
            Some(run) => run,
            None => {
                format.print(&json!({ "run": null }), "No run is under way.")?;
                return Ok(DONE);
            }
        },
    };
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} accounts, {per_sec}, {eta} left")?);
    let mut before = None;
    loop {
        let run = find(store, id).await?;
        let done = progress(store, &run).await?;
        bar.set_message(format!("run {} of {} {}", id.0, run.job, run.state.name()));
        bar.set_length(run.total.max(done));
        bar.set_position(done);
        if format == Format::Json && before != Some((run.state, done)) {
            say(run_json(&run, done))?;
        }
        before = Some((run.state, done));
        let status = match run.state {
            RunState::Done => DONE,
            RunState::Failed | RunState::Cancelled => FAILED,
            RunState::Held => NOT_NOW,
            RunState::Queued | RunState::Running => match stands_still(store, &run).await? {
                None => {
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                Some(why) => {
                    bar.finish_and_clear();
                    return Err(NotNow(format!("run {}: {why}", id.0)).into());
                }
            },
        };
        bar.finish_and_clear();
        if format == Format::Table {
            say(format_args!("Run {} of {} is {}. {}", id.0, run.job, run.state.name(), told(&run)))?;
        }
        return Ok(status);
    }
}

/// The newest whose start has come, or else the one that starts next.
fn to_watch(unfinished: Vec<Run>, now: Timestamp) -> Option<RunId> {
    let begun = unfinished.iter().rfind(|run| run.starts_at <= now);
    begun.or_else(|| unfinished.iter().min_by_key(|run| run.starts_at)).map(|run| run.id)
}

/// Why nobody works on a run, as far as that stays so.
async fn stands_still(store: &Store, run: &Run) -> anyhow::Result<Option<String>> {
    let (id, controls) = (run.id.0, store.job_controls().await?);
    let control = controls.iter().find(|control| control.job == run.job);
    if let Some(pause) = control.and_then(|control| control.pause.as_ref()) {
        let Pause { at, by, reason } = pause;
        return Ok(Some(format!("{0} is paused since {at} by {by}: {reason}: `bursar jobs resume {0}`", run.job)));
    }
    let waits = run.starts_at.secs() - Clock::system().now().secs();
    Ok((waits > SOON_SECS).then(|| format!("it starts at {}; `bursar runs cancel {id}` takes it back", run.starts_at)))
}

async fn cancel(books: &Books, id: RunId, reason: &str, format: Format) -> anyhow::Result<u8> {
    let store = books.store_for_changes().await?;
    let run = find(&store, id).await?;
    if run.slot.is_some() || run.asked_by == SCHEDULE {
        let why = format!(
            "run {}: the schedule opened it; `bursar jobs pause {}` keeps it from its work, and loses nothing",
            id.0, run.job
        );
        return Err(BadInput(why).into());
    }
    if !store.run_cancel(id, &author(), reason, Clock::system().now()).await? {
        let state = find(&store, id).await?.state;
        let why = match state {
            RunState::Queued | RunState::Running => "it has begun; `bursar jobs pause` stops it between two batches",
            _ => "only what has not begun can be cancelled",
        };
        return Err(BadInput(format!("run {}: it is {}: {why}", id.0, state.name())).into());
    }
    let run = find(&store, id).await?;
    let text = format!("Run {} of {} is cancelled. What is due stays due.", id.0, run.job);
    format.print(&run_json(&run, 0), &text)?;
    Ok(DONE)
}

async fn release(books: &Books, id: RunId, yes: bool, format: Format) -> anyhow::Result<u8> {
    let office = books.office_for_changes().await?;
    let run = find(&office.store, id).await?;
    if run.state != RunState::Held {
        return Err(BadInput(format!("run {}: it is {}, not held", id.0, run.state.name())).into());
    }
    let now = office.clock.now();
    let ahead = match job(&run.job).and_then(|job| job.due_kind) {
        Some(kind) => Some(preview_of_held(&office, kind, now).await?),
        None => None,
    };
    // Who is asked sees it first.
    if format == Format::Table {
        say(format_args!("Held for: {}", run.held_for.as_deref().unwrap_or("-")))?;
        if let Some(ahead) = &ahead {
            let (accounts, sums) = (counted(ahead.accounts, "account"), summed(&ahead.moved, &ahead.counts));
            say(format_args!("As of {now} it would settle {accounts}: {sums}"))?;
        }
    }
    let released = yes || confirmed("Release it?")?;
    if released && release_run(&office, &run, &author(), office.clock.now()).await?.is_none() {
        return Err(NotNow("somebody released it meanwhile".to_owned()).into());
    }
    let preview = ahead.as_ref().map(previewed);
    let json = json!({ "run": id, "job": run.job, "released": released, "held_for": run.held_for, "preview": preview });
    let text = match released {
        true => format!("Run {} goes on. Watch it: bursar runs watch {}", id.0, id.0),
        false => "Nothing was released.".to_owned(),
    };
    format.print(&json, &text)?;
    Ok(if released { DONE } else { FAILED })
}

async fn retry(books: &Books, id: RunId, format: Format) -> anyhow::Result<u8> {
    let office = books.office_for_changes().await?;
    let old = find(&office.store, id).await?;
    if !old.left_something() {
        let state = old.state.name();
        return Err(
            BadInput(format!("run {}: it is {state} and parked nobody; there is nothing to retry", id.0)).into()
        );
    }
    refuse_paused(&office, &old.job).await?;
    let run = open_again(&office, &old, &author()).await?;
    let text = format!("Run {} takes the place of run {}. Watch it: bursar runs watch {}", run.id.0, id.0, run.id.0);
    format.print(&json!({ "run": run.id, "retry_of": id, "job": run.job }), &text)?;
    Ok(DONE)
}

async fn retry_parked(books: &Books, format: Format) -> anyhow::Result<u8> {
    let office = books.office_for_changes().await?;
    let parked = office.store.parked().await?.len();
    office.store.parked_retry(office.clock.now()).await?;
    let text = match parked {
        0 => "No account is parked.".to_owned(),
        1 => "1 parked account is tried within a minute.".to_owned(),
        more => format!("{more} parked accounts are tried within a minute."),
    };
    format.print(&json!({ "parked": parked }), &text)?;
    Ok(DONE)
}

pub async fn open_again(office: &Office, old: &Run, author: &str) -> anyhow::Result<Run> {
    let Some(job) = job(&old.job) else { anyhow::bail!("this program knows no job {}", old.job) };
    let now = office.clock.now();
    // A run on one account is retried on that one.
    let only = match office.store.shards(old.id).await?.as_slice() {
        [shard] if shard.first == shard.last => Some(shard.first),
        _ => None,
    };
    // Parked accounts wait for their next try: it is now.
    office.store.unnoted().parked_retry(now).await?;
    let order = RunOrder { retry_of: Some(old.id), only, ..RunOrder::by(author, now) };
    let run = open_run(office, job, &order, now).await?;
    run.ok_or_else(|| anyhow::anyhow!("no run was opened"))
}
