//! `bursar doctor`: what keeps the daemon from its work, or soon will.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use ::jobs::{Clock, JOBS, Office, Registered, Wakes, next_slot};
use rules::Timestamp;
use serde_json::json;
use store::{Address, ClockDoubt, Import, JobControl, Run, RunState, Shard};

use crate::cli::books::{ALIVE_SECS, Books};
use crate::cli::import::{HASH_START, unfinished_import};
use crate::cli::{DONE, FAILED, Format};
use crate::input::Config;
use crate::tables::table;

/// A slot that is older without a run was missed.
const LATE_SECS: i64 = 600;

/// Below this a disk is soon full.
const FREE_MIB: u64 = 512;

#[derive(clap::Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What was looked at, and what was found.
struct Finding {
    what: &'static str,
    found: String,
    /// How to put it right; none where all is well.
    remedy: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn well(&mut self, what: &'static str, found: impl Into<String>) {
        self.0.push(Finding { what, found: found.into(), remedy: None });
    }

    fn ill(&mut self, what: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding { what, found: found.into(), remedy: Some(remedy.into()) });
    }
}

pub async fn run(args: DoctorArgs) -> anyhow::Result<u8> {
    let config = args.books.configuration()?;
    let office = args.books.office().await?;
    let mut findings = Findings::default();
    findings.well("configuration", "it can be read");
    let address = Address::parse(&config.database)?;
    match address.file() {
        Some(path) => file(path, &mut findings)?,
        None => findings.well("database", format!("{address}, schema up to date")),
    }
    let now = Clock::system().now();
    alive(&office, now, &mut findings).await?;
    runs(&office, now, &mut findings).await?;
    accounts(&office, &mut findings).await?;
    if args.books.file().is_some() {
        policy(&office, &config, &mut findings).await?;
    }
    prices(&office, now, &mut findings).await?;
    imports(&args.books, &office, &mut findings).await?;
    findings.well("cards", "no payment provider yet: no card can be saved outside the simulator");
    office.store.close().await;
    print(&findings, args.format)?;
    Ok(if findings.0.iter().any(|finding| finding.remedy.is_some()) { FAILED } else { DONE })
}

fn print(findings: &Findings, format: Format) -> anyhow::Result<()> {
    let rows = findings.0.iter();
    let json: Vec<_> =
        rows.map(|Finding { what, found, remedy }| json!({ "what": what, "found": found, "remedy": remedy })).collect();
    let mut table = table(&["", "what", "found", "to do"], &[]);
    for Finding { what, found, remedy } in &findings.0 {
        table.add_row([if remedy.is_some() { "!" } else { "" }, what, found, remedy.as_deref().unwrap_or("")]);
    }
    Ok(format.print(&json!({ "findings": json }), &table.to_string())?)
}

/// That it opened says already that its schema, its settings and its owner are right.
fn file(path: &Path, findings: &mut Findings) -> anyhow::Result<()> {
    let file = path.metadata()?;
    findings.well("database", format!("{}, {} MiB, schema up to date", path.display(), file.len() / (1024 * 1024)));
    let mode = file.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let remedy = format!("chmod 600 {}", path.display());
        findings.ill("permissions", format!("others can read the books: mode {mode:o}"), remedy);
    }
    let disk = rustix::fs::statvfs(path)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize) / (1024 * 1024);
    if free < FREE_MIB {
        findings.ill("disk", format!("{free} MiB are free"), "make room: on a full disk nothing is settled");
    } else {
        findings.well("disk", format!("{free} MiB are free"));
    }
    Ok(())
}

/// Everybody works by the numbers that the daemon started with.
async fn policy(office: &Office, config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    match office.store.policy().await? {
        Some(kept) if kept != config.policy => {
            let remedy =
                "if this is the daemon's configuration, start the daemon anew; until then its old numbers hold";
            findings.ill("numbers", "[billing] or [documents] is not as the daemon started with", remedy);
        }
        _ => findings.well("numbers", "as the daemon started with"),
    }
    Ok(())
}

async fn alive(office: &Office, now: Timestamp, findings: &mut Findings) -> anyhow::Result<()> {
    match office.store.last_alive().await? {
        Some(last) if (now.secs() - last.secs()).abs() <= ALIVE_SECS => {
            findings.well("daemon", format!("alive at {last}"));
        }
        Some(last) => findings.ill("daemon", format!("not alive since {last}"), "start `bursar serve`"),
        None => findings.ill("daemon", "it never ran on these books", "start `bursar serve`"),
    }
    let doubts = office.store.clock_doubts().await?;
    for ClockDoubt { worker, observed_at, expected_at, .. } in &doubts {
        let found = format!("{worker} doubts its own: it said {observed_at} instead of {expected_at}");
        findings.ill("clock", found, format!("put it right; if {now} is right: bursar clock confirm"));
    }
    if doubts.is_empty() {
        findings.well("clock", format!("{now}, not in doubt"));
    }
    Ok(())
}

async fn runs(office: &Office, now: Timestamp, findings: &mut Findings) -> anyhow::Result<()> {
    let before = findings.0.len();
    let controls = office.store.job_controls().await?;
    for hold in office.store.holds().await? {
        let remedy = format!("bursar runs show {0}, then bursar runs release {0}", hold.run.0);
        findings.ill("run", format!("run {} of {} is held", hold.run.0, hold.job), remedy);
    }
    for job in &JOBS {
        let control = controls.iter().find(|control| control.job == job.name);
        if let Some(pause) = control.and_then(|control| control.pause.as_ref()) {
            let found = format!("{} is paused since {} by {}: {}", job.name, pause.at, pause.by, pause.reason);
            findings.ill("job", found, format!("bursar jobs resume {}", job.name));
            continue;
        }
        let newest = office.store.slots(job.name, 1).await?.pop();
        if let Some(run) = newest.as_ref().filter(|run| run.state == RunState::Failed) {
            let found = format!("run {} of {} failed: {}", run.id.0, job.name, run.error.as_deref().unwrap_or("-"));
            findings.ill("run", found, format!("bursar runs show {0}, then bursar runs retry {0}", run.id.0));
        }
        if let Some(slot) = missing_slot(job, newest.and_then(|run| run.slot), control, now) {
            findings.ill("slot", format!("{} has not run since {slot} was due", job.name), "see the daemon's log");
        }
    }
    unattended(office, &controls, now, findings).await?;
    if findings.0.len() == before {
        findings.well("runs", "no slot is missing, none failed, none is held or waits for a worker, no job is paused");
    }
    Ok(())
}

/// Runs on which nobody works, though they are not held nor their job paused.
async fn unattended(
    office: &Office,
    controls: &[JobControl],
    now: Timestamp,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let is_paused = |job: &str| controls.iter().any(|control| control.job == job && control.pause.is_some());
    for run in office.store.runs_unfinished().await? {
        if run.state == RunState::Held || is_paused(&run.job) {
            continue;
        }
        let resumed = controls.iter().find(|control| control.job == run.job).map(|control| control.slots_after);
        let shards = office.store.shards(run.id).await?;
        let since = last_worked_on(&run, &shards).max(resumed.filter(|at| *at <= now).unwrap_or(run.opened_at));
        if now.secs() - since.secs() > LATE_SECS {
            let found = format!(
                "nobody works on run {} of {} since {since}: it is {}, {} of {} done",
                run.id.0,
                run.job,
                run.state.name(),
                shards.iter().map(|shard| shard.done).sum::<u64>(),
                run.total
            );
            let remedy = format!("bursar runs show {}; see the daemon's log, and start it anew", run.id.0);
            findings.ill("run", found, remedy);
        }
    }
    Ok(())
}

/// Up to when a worker has claimed a part of it, or since when it waits for one.
fn last_worked_on(run: &Run, shards: &[Shard]) -> Timestamp {
    let claims = shards.iter().flat_map(|shard| [shard.claimed_until, shard.finished_at]);
    let waits = [Some(run.opened_at), Some(run.starts_at), run.released_at, run.started_at];
    claims.chain(waits).flatten().max().unwrap_or(run.opened_at)
}

/// The first slot of a job that came some time ago and has no run. Up to when it was resumed, or its schedule edited,
/// no slot opens one.
fn missing_slot(
    job: &Registered,
    newest: Option<Timestamp>,
    control: Option<&JobControl>,
    now: Timestamp,
) -> Option<Timestamp> {
    let after = control.map(|control| control.slots_after).into_iter().chain(newest).max().filter(|_| newest.is_some());
    let slot = after.filter(|_| job.wakes == Wakes::Calendar).and_then(|after| next_slot(job, after));
    slot.filter(|slot| now.secs() - slot.secs() > LATE_SECS)
}

async fn accounts(office: &Office, findings: &mut Findings) -> anyhow::Result<()> {
    let parked = office.store.parked().await?;
    match parked.first() {
        None => findings.well("accounts", "none is parked"),
        Some(first) => findings.ill(
            "accounts",
            format!("{} parked, the first `{}`: {}", parked.len(), first.name, first.error),
            "bursar verify; once it is mended: bursar runs retry --parked",
        ),
    }
    Ok(())
}

async fn prices(office: &Office, now: Timestamp, findings: &mut Findings) -> anyhow::Result<()> {
    let mut lists = office.store.price_lists().await?;
    lists.retain(|list| list.withdrawn.is_none());
    if lists.is_empty() {
        findings.ill("prices", "there is no price list: nothing can be sold", "bursar prices apply FILE");
        return Ok(());
    }
    let ahead = lists.iter().map(|list| list.effective_at).filter(|at| *at > now).min();
    let ahead = ahead.map_or_else(String::new, |at| format!("; the next takes effect at {at}"));
    findings.well("prices", format!("{} lists{ahead}", lists.len()));
    Ok(())
}

async fn imports(books: &Books, office: &Office, findings: &mut Findings) -> anyhow::Result<()> {
    let before = findings.0.len();
    for import in office.store.imports().await?.iter().filter(|import| import.is_unfinished()) {
        let Import { file, hash, up_to, accounts, .. } = import;
        let hash = hash.get(..HASH_START).unwrap_or_default();
        let found = format!("{up_to} of {accounts} accounts of {file} ({hash}) are in the books");
        findings.ill("import", found, format!("if it does not run: {}", unfinished_import(books, file)));
    }
    if findings.0.len() == before {
        findings.well("imports", "none was cut off");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_without_workers_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        let at = |secs| Timestamp::from_secs(1_800_000_000 + secs);
        let store = store::Store::open(&url, store::Opening::scratch(at(0))).await.expect("books");
        let cards = std::sync::Arc::new(providers::NoCards);
        let office = Office::open(store, Clock::system(), rules::Policy::default(), cards).await.expect("an office");
        let account = rules::AccountId(1);
        let new = store::NewRun {
            job: "bill_instances",
            due_kind: None,
            slot: None,
            asked_by: "test",
            starts_at: at(0),
            retry_of: None,
            one_at_a_time: false,
            covered: &[],
            preview: None,
            held_for: None,
            shards: &[(account, account)],
            total: 1,
            now: at(0),
        };
        let run = office.store.run_open(&new).await.expect("asked").expect("a run").id;
        let found = async |now: i64, controls: &[JobControl]| {
            let mut findings = Findings::default();
            unattended(&office, controls, at(now), &mut findings).await.expect("looked");
            findings.0.pop().map(|finding| (finding.found, finding.remedy.expect("a remedy")))
        };
        assert_eq!(found(600, &[]).await, None);
        let (told, remedy) = found(601, &[]).await.expect("it is named");
        assert!(told.contains("run 1 of bill_instances") && told.contains("it is queued, 0 of 1 done"), "{told}");
        assert!(remedy.starts_with("bursar runs show 1"), "{remedy}");
        // A claim that stands is somebody's; one that is over is nobody's.
        office.store.shard_claim(run, 0, "w", at(700), at(1000)).await.expect("asked").expect("claimed");
        assert_eq!((found(1600, &[]).await, found(1601, &[]).await.is_some()), (None, true));
        let mut control = JobControl {
            due_kind: None,
            job: "bill_instances".to_owned(),
            cron: String::new(),
            cron_since: at(0),
            slots_after: at(0),
            pause: Some(store::Pause { at: at(0), by: "ann".to_owned(), reason: "test".to_owned() }),
        };
        assert_eq!(found(9000, std::slice::from_ref(&control)).await, None, "it waits for its job");
        (control.pause, control.slots_after) = (None, at(8500));
        assert_eq!(found(9000, std::slice::from_ref(&control)).await, None, "it is back at work");
        assert!(found(9101, &[control]).await.is_some());
    }

    #[test]
    fn a_resumed_job_misses_no_slot_of_its_pause() {
        let at = |text: &str| Timestamp::parse(text).expect("a time");
        let job = ::jobs::job("bill_instances").expect("a job");
        let newest = Some(at("2026-03-02T00:00:00Z"));
        let control = |slots_after| JobControl {
            due_kind: None,
            job: job.name.to_owned(),
            cron: job.cron.to_owned(),
            cron_since: Timestamp::BEGINNING,
            slots_after,
            pause: None,
        };
        let never = control(Timestamp::BEGINNING);
        let missing = |control: &JobControl, now: &str| missing_slot(job, newest, Some(control), at(now));
        assert_eq!(missing(&never, "2026-03-03T00:10:00Z"), None);
        assert_eq!(missing(&never, "2026-03-03T00:10:01Z"), Some(at("2026-03-03T00:00:00Z")));
        let resumed = control(at("2026-03-04T09:00:00Z"));
        assert_eq!(missing(&resumed, "2026-03-04T12:00:00Z"), None);
        assert_eq!(missing(&resumed, "2026-03-05T00:11:00Z"), Some(at("2026-03-05T00:00:00Z")));
        assert_eq!(missing_slot(job, None, Some(&never), at("2026-03-03T00:11:00Z")), None, "it never ran");
    }
}
