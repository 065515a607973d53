//! `bursar doctor`: what keeps the daemon from its work, or soon will.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use ::jobs::{Clock, JOBS, Office, Registered, Wakes, next_slot};
use rules::Timestamp;
use serde_json::json;
use store::{Import, JobControl, RunState};

use crate::cli::books::{ALIVE_SECS, Books};
use crate::cli::import::{HASH_START, unfinished_import};
use crate::cli::{DONE, FAILED, Format};
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
    database(&store::database_path(&config.database)?, &mut findings)?;
    let now = Clock::system().now();
    alive(&office, now, &mut findings).await?;
    runs(&office, now, &mut findings).await?;
    accounts(&office, &mut findings).await?;
    prices(&office, now, &mut findings).await?;
    imports(&office, &mut findings).await?;
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
fn database(path: &Path, findings: &mut Findings) -> anyhow::Result<()> {
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

async fn alive(office: &Office, now: Timestamp, findings: &mut Findings) -> anyhow::Result<()> {
    match office.store.last_alive().await? {
        Some(last) if (now.secs() - last.secs()).abs() <= ALIVE_SECS => {
            findings.well("daemon", format!("alive at {last}"));
        }
        Some(last) => findings.ill("daemon", format!("not alive since {last}"), "start `bursar serve`"),
        None => findings.ill("daemon", "it never ran on these books", "start `bursar serve`"),
    }
    match office.store.clock_doubt().await? {
        None => findings.well("clock", format!("{now}, not in doubt")),
        Some(doubt) => findings.ill(
            "clock",
            format!("in doubt: it said {} instead of {}", doubt.observed_at, doubt.expected_at),
            format!("put it right; if {now} is right: bursar clock confirm"),
        ),
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
    if findings.0.len() == before {
        findings.well("runs", "no slot is missing, none failed, none is held, no job is paused");
    }
    Ok(())
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

async fn imports(office: &Office, findings: &mut Findings) -> anyhow::Result<()> {
    let before = findings.0.len();
    for import in office.store.imports().await?.iter().filter(|import| import.is_unfinished()) {
        let Import { file, hash, up_to, accounts, .. } = import;
        let hash = hash.get(..HASH_START).unwrap_or_default();
        let found = format!("{up_to} of {accounts} accounts of {file} ({hash}) are in the books");
        findings.ill("import", found, format!("if it does not run: {}", unfinished_import(file)));
    }
    if findings.0.len() == before {
        findings.well("imports", "none was cut off");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_job_misses_no_slot_of_its_pause() {
        let at = |text: &str| Timestamp::parse(text).expect("a time");
        let job = ::jobs::job("bill_instances").expect("a job");
        let newest = Some(at("2026-03-02T00:00:00Z"));
        let control = |slots_after| JobControl {
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
