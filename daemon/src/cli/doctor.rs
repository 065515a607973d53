//! `bursar doctor`: what keeps the daemon from its work, or soon will.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use ::jobs::{Clock, Office, Registered, next_slot};
use rules::Timestamp;
use serde_json::json;
use store::{Address, ClockDoubt, Import, Setting, StoreError, without_password};

use crate::cli::books::{ALIVE_SECS, Books};
use crate::cli::import::{HASH_START, unfinished_import};
use crate::cli::{DONE, FAILED, Format};
use crate::input::Config;
use crate::lookout::{JobState, Lookout, Unfinished};
use crate::serve::QUEUE;
use crate::tables::table;

/// Clocks of one company differ by less.
const CLOCK_SECS: i64 = 10;

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

    /// How many are to be put right.
    fn ills(&self) -> usize {
        self.0.iter().filter(|finding| finding.remedy.is_some()).count()
    }
}

pub async fn run(args: DoctorArgs) -> anyhow::Result<u8> {
    let config = args.books.configuration()?;
    let mut findings = Findings::default();
    findings.well("configuration", "it can be read");
    let office = match args.books.office().await {
        Ok(office) => office,
        Err(error) if is_away(&error) => {
            let remedy = "nothing is billed until it answers: start its server, or correct `database` or its password";
            findings.ill("database", format!("{error:#}"), remedy);
            print(&findings, args.format)?;
            return Ok(FAILED);
        }
        Err(error) => return Err(error),
    };
    let address = Address::parse(&config.database)?;
    match address.file() {
        Some(path) => file(path, &mut findings)?,
        None => {
            findings.well("database", format!("{address}, schema up to date"));
            findings.well("disk", "on the server's machine: look there, nothing is known of it here");
        }
    }
    fence(&office, &mut findings).await?;
    durability(&office, &mut findings).await?;
    queue(&office, &config, &mut findings).await?;
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
    Ok(if findings.ills() > 0 { FAILED } else { DONE })
}

/// Whether nobody answers where the books are said to be.
fn is_away(error: &anyhow::Error) -> bool {
    use StoreError::{NoAnswer, Silent, Unreachable};
    matches!(error.downcast_ref::<StoreError>(), Some(Unreachable { .. } | NoAnswer | Silent { .. }))
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

/// Whether these books are a copy.
async fn fence(office: &Office, findings: &mut Findings) -> anyhow::Result<()> {
    if let Some(fence) = office.store.fence().await? {
        let found = format!("a copy of {}, only read since {}: {}", fence.taken_at, fence.raised_at, fence.reason);
        findings.ill("fence", found, "if it is to go on instead of the original: bursar fence lift");
    }
    Ok(())
}

/// Whether a commit outlives a power failure.
async fn durability(office: &Office, findings: &mut Findings) -> anyhow::Result<()> {
    let settings = office.store.durability_settings().await?;
    let told = settings.iter().map(|Setting { name, found, .. }| format!("{name} = {found}")).collect::<Vec<_>>();
    match settings.iter().find(|setting| !setting.is_safe) {
        None => findings.well("durability", told.join(", ")),
        Some(Setting { name, .. }) => {
            let remedy = format!("in postgresql.conf: {name} = on, then reload the server; nothing is written before");
            findings.ill("durability", told.join(", "), remedy);
        }
    }
    Ok(())
}

/// Whether it answers, wherever it lies.
async fn queue(office: &Office, config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    let redis = config.queue.as_deref();
    let place = redis.map_or_else(|| "in the database".to_owned(), without_password);
    match office.store.queue_looked_into(QUEUE, redis).await {
        Ok(Some(waiting)) => findings.well("queue", format!("{place}, where {} for a worker", waits(waiting))),
        Ok(None) => findings.well("queue", format!("{place}, not made yet")),
        Err(error) => {
            let remedy = "start it, or correct [queue]; until then work waits, and what is due stays due";
            findings.ill("queue", format!("{place}: {error}"), remedy);
        }
    }
    Ok(())
}

fn waits(count: u64) -> String {
    if count == 1 { "1 wake waits".to_owned() } else { format!("{count} wakes wait") }
}

/// Everybody works by the numbers that the daemon started with.
async fn policy(office: &Office, config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    match office.store.policy().await? {
        Some(kept) if kept != config.policy => {
            let remedy = "if this is the daemon's configuration, have it read anew: systemctl reload bursar, or SIGHUP";
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
    match office.store.server_clock().await? {
        Some(server) if (server.secs() - now.secs()).abs() > CLOCK_SECS => {
            let found = format!("{now} here, {server} at the database's server");
            findings.ill("clock", found, "have both machines set their clocks by NTP (timedatectl)");
        }
        _ if doubts.is_empty() => findings.well("clock", format!("{now}, not in doubt")),
        _ => {}
    }
    Ok(())
}

async fn runs(office: &Office, now: Timestamp, findings: &mut Findings) -> anyhow::Result<()> {
    let before = findings.ills();
    let lookout = Lookout::look(&office.store, now).await?;
    for hold in &lookout.holds {
        let remedy = format!("bursar runs show {0}, then bursar runs release {0}", hold.run.0);
        findings.ill("run", format!("run {} of {} is held", hold.run.0, hold.job), remedy);
    }
    for JobState { job, pause, failed, missing_slot, .. } in &lookout.jobs {
        if let Some(pause) = pause {
            let found = format!("{} is paused since {} by {}: {}", job.name, pause.at, pause.by, pause.reason);
            findings.ill("job", found, format!("bursar jobs resume {}", job.name));
            continue;
        }
        if let Some(run) = failed {
            let found = format!("run {} of {} failed: {}", run.id.0, job.name, run.error.as_deref().unwrap_or("-"));
            findings.ill("run", found, format!("bursar runs show {0}, then bursar runs retry {0}", run.id.0));
        }
        if let Some(slot) = missing_slot {
            findings.ill("slot", format!("{} has not run since {slot} was due", job.name), "see the daemon's log");
        }
        findings.well("job", last_run(office, job, now).await?);
    }
    for Unfinished { run, since, done, .. } in lookout.unattended() {
        let found = format!(
            "nobody works on run {} of {} since {since}: it is {}, {done} of {} done",
            run.id.0,
            run.job,
            run.state.name(),
            run.total
        );
        let remedy = format!("bursar runs show {}; see the daemon's log, and start it anew", run.id.0);
        findings.ill("run", found, remedy);
    }
    if findings.ills() == before {
        findings.well("runs", "no slot is missing, none failed, none is held or waits for a worker, no job is paused");
    }
    Ok(())
}

/// The last run of a job, and when it comes next.
async fn last_run(office: &Office, job: &Registered, now: Timestamp) -> anyhow::Result<String> {
    let last = match office.store.runs(Some(job.name), 1).await?.pop() {
        None => "no run yet".to_owned(),
        Some(run) => {
            let (at, state) = (run.finished_at.unwrap_or(run.opened_at), run.state.name());
            format!("last run {} {state} at {at}", run.id.0)
        }
    };
    let next = next_slot(job, now).map_or_else(String::new, |slot| format!("; next at {slot}"));
    Ok(format!("{}: {last}{next}", job.name))
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
