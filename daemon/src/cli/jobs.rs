//! `bursar jobs`: what runs when, and what an admin asks of it.

use std::collections::BTreeMap;

use ::jobs::{JOBS, Office, Preview, Registered, RunOrder, Wakes, is_paused, job, next_slot, open_run, preview};
use clap::Subcommand;
use rules::{AccountId, Changes, Micros, Timestamp, TransferKind};
use serde_json::json;
use store::{JobControl, Run, RunState};

use crate::cli::author::author;
use crate::cli::books::{self, Books, NotNow};
use crate::cli::runs::{previewed, summed};
use crate::cli::{DONE, Format, LIMIT_MAX};
use crate::input::{BadInput, arguments};
use crate::tables::{counted, or_dash, table, written};

/// Slots that are shown of each job, the newest last.
const STRIP: u32 = 7;

/// Accounts that a dry run names, if not told otherwise.
pub const NAMED: u32 = 20;

/// For how long ahead a run can be asked for.
pub const DAYS_AHEAD: u32 = 366;

#[derive(clap::Args)]
pub struct JobsArgs {
    #[command(subcommand)]
    command: JobsCommand,
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    format: Format,
}

#[derive(Subcommand)]
enum JobsCommand {
    /// Every job: its schedule, whether it is paused or held, its last slots, and what is due now
    ///
    /// Examples:
    ///   bursar jobs list
    ///   bursar jobs list --format json
    #[command(verbatim_doc_comment)]
    List,
    /// Have a job run by hand, beside its schedule; it takes no slot's place
    ///
    /// Examples:
    ///   bursar jobs enqueue bill_instances --dry-run --at 2026-04-01T00:00:00Z
    ///   bursar jobs enqueue bill_instances --account ann
    ///   bursar jobs enqueue verify_books --at 2026-04-01T06:00:00Z
    #[command(verbatim_doc_comment)]
    Enqueue {
        /// As `bursar jobs list` names it
        name: String,
        /// Not before this second, a year ahead at most; with --dry-run: what it would do then
        #[arg(long, value_name = "TIME", value_parser = arguments::second)]
        at: Option<Timestamp>,
        /// On this account alone
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// Decide everything, write nothing, and tell what it would do
        #[arg(long)]
        dry_run: bool,
        /// How many accounts a dry run names at most, those first that would pay most
        #[arg(long, default_value_t = NAMED, value_parser = clap::value_parser!(u32).range(1..=LIMIT_MAX))]
        limit: u32,
    },
    /// Stop a job, or all of them, between two batches; nothing is lost, what is due stays due
    ///
    /// What a paused job would do is done by nobody: commands on accounts with such work due answer `not now`, and
    /// money that comes for them keeps its second.
    ///
    /// Examples:
    ///   bursar jobs pause bill_instances --reason "prices look wrong"
    ///   bursar jobs pause --all --reason "moving the machine"
    #[command(verbatim_doc_comment)]
    Pause {
        #[command(flatten)]
        which: Which,
        /// For whoever asks why nothing runs
        #[arg(long, value_parser = arguments::text)]
        reason: String,
    },
    /// Take a paused job back into work, from its next slot on
    ///
    /// Slots that passed meanwhile open no run by themselves: the next one's run does all of it. What cannot
    /// wait so long is for `bursar jobs enqueue`, whose run is held like a slot's if it would do far more than usual.
    ///
    /// Examples:
    ///   bursar jobs resume bill_instances
    ///   bursar jobs resume --all
    #[command(verbatim_doc_comment)]
    Resume {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    name: Option<String>,
    /// Every job
    #[arg(long)]
    all: bool,
}

pub async fn run(args: JobsArgs) -> anyhow::Result<u8> {
    let JobsArgs { command, books, format } = args;
    match command {
        JobsCommand::List => list(&books, format).await,
        JobsCommand::Enqueue { name, at, account, dry_run, limit } => {
            let asked = Asked::of(&name, at, account)?;
            match dry_run {
                true => dry(&books, &asked, limit, format).await,
                false => enqueue(&books, &asked, format).await,
            }
        }
        JobsCommand::Pause { which, reason } => pause(&books, &which, &reason, format).await,
        JobsCommand::Resume { which } => resume(&books, &which, format).await,
    }
}

pub fn named(name: &str) -> anyhow::Result<&'static Registered> {
    let names = || JOBS.iter().map(|job| job.name).collect::<Vec<_>>().join(", ");
    job(name).ok_or_else(|| BadInput(format!("job `{name}`: there is no such job; there are {}", names())).into())
}

impl Which {
    fn jobs(&self) -> anyhow::Result<Vec<&'static Registered>> {
        match &self.name {
            Some(name) => Ok(vec![named(name)?]),
            None => Ok(JOBS.iter().collect()),
        }
    }
}

/// A run that is asked for.
struct Asked {
    job: &'static Registered,
    at: Option<Timestamp>,
    account: Option<String>,
}

impl Asked {
    fn of(name: &str, at: Option<Timestamp>, account: Option<String>) -> anyhow::Result<Self> {
        let job = named(name)?;
        if let Some(account) = account.as_ref().filter(|_| job.due_kind.is_none()) {
            let why = match job.name {
                NUMBERS => format!("{NUMBERS} numbers those of all accounts; leave it out"),
                name => format!("{name} is of all accounts: `bursar verify --account {account}` looks at one"),
            };
            return Err(BadInput(format!("--account {account}: {why}")).into());
        }
        let latest = ::jobs::Clock::system().now().plus_days(DAYS_AHEAD);
        if let Some(at) = at.filter(|at| *at > latest) {
            return Err(
                BadInput(format!("--at {at}: that is more than a year ahead: say a second up to {latest}")).into()
            );
        }
        Ok(Self { job, at, account })
    }
}

async fn list(books: &Books, format: Format) -> anyhow::Result<u8> {
    let office = books.office().await?;
    let now = office.clock.now();
    let rows = rows(&office, now).await?;
    let json: Vec<_> = rows.iter().map(|row| row.json(now)).collect();
    let mut table = table(&["job", "wakes", "state", "last slots", "next slot", "due now"], &[5]);
    for row in &rows {
        table.add_row(row.cells(now));
    }
    let marks = "Slots: + done, c covered by a later one, h held, ! failed, . under way.";
    let json = json!({ "as_of": written(now), "jobs": json });
    format.print(&json, &format!("{table}\nAs of {now}. {marks}"))?;
    Ok(DONE)
}

/// All jobs, as JSON.
pub async fn listed(office: &Office, now: Timestamp) -> anyhow::Result<Vec<serde_json::Value>> {
    Ok(rows(office, now).await?.iter().map(|row| row.json(now)).collect())
}

async fn rows(office: &Office, now: Timestamp) -> anyhow::Result<Vec<Row>> {
    let controls = office.store.job_controls().await?;
    let mut rows = Vec::new();
    for job in &JOBS {
        let control = controls.iter().find(|control| control.job == job.name);
        let slots = office.store.slots(job.name, STRIP).await?;
        rows.push(Row {
            job,
            state: state(office, job, control).await?,
            slots,
            due: (job.due_count)(office, now).await?,
        });
    }
    Ok(rows)
}

struct Row {
    job: &'static Registered,
    state: String,
    slots: Vec<Run>,
    due: u64,
}

impl Row {
    fn cells(&self, now: Timestamp) -> [String; 6] {
        let wakes = match self.job.wakes {
            Wakes::Calendar => format!("slots of {}", self.job.cron),
            Wakes::Sweep => format!("when due, {}", self.job.cron),
        };
        let strip: String = self.slots.iter().rev().map(mark).collect();
        let next = next_slot(self.job, now).map_or_else(String::new, |slot| slot.to_string());
        [self.job.name.to_owned(), wakes, self.state.clone(), strip, next, self.due.to_string()]
    }

    fn json(&self, now: Timestamp) -> serde_json::Value {
        let slots: Vec<_> = self
            .slots
            .iter()
            .map(|run| {
                let (slot, by) = (written(run.slot), run.covered_by);
                json!({ "slot": slot, "run": run.id, "state": run.state, "covered_by": by })
            })
            .collect();
        json!({
            "job": self.job.name,
            "cron": self.job.cron,
            "calendar": self.job.wakes == Wakes::Calendar,
            "state": self.state,
            "slots": slots,
            "next_slot": written(next_slot(self.job, now)),
            "due_now": self.due,
        })
    }
}

const fn mark(run: &Run) -> char {
    match run.state {
        RunState::Done if run.covered_by.is_some() => 'c',
        RunState::Done => '+',
        RunState::Held => 'h',
        RunState::Failed | RunState::Cancelled => '!',
        RunState::Queued | RunState::Running => '.',
    }
}

async fn state(office: &Office, job: &Registered, control: Option<&JobControl>) -> anyhow::Result<String> {
    if let Some(pause) = control.and_then(|control| control.pause.as_ref()) {
        return Ok(format!("paused at {} by {}: {}", pause.at, pause.by, pause.reason));
    }
    let held = office.store.holds().await?.into_iter().find(|hold| hold.job == job.name);
    Ok(held.map_or_else(|| "on".to_owned(), |hold| format!("run {} held", hold.run.0)))
}

/// The one job that writes and is not of accounts.
pub const NUMBERS: &str = "number_documents";

/// The numbers that documents would get, as JSON and in words.
pub async fn numbers_ahead(office: &Office) -> anyhow::Result<(serde_json::Value, String)> {
    let documents = &office.policy().documents;
    let ahead = office.store.numbers_ahead(documents).await?;
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for (series, first, count) in &ahead {
        let last = first + i64::try_from(*count)? - 1;
        let [first, last] = [*first, last].map(|number| documents.printed(series, number));
        lines.push(format!("{}: {first} to {last}", counted(*count, "document")));
        rows.push(json!({ "series": series, "documents": count, "first": first, "last": last }));
    }
    let text = match lines.is_empty() {
        true => "Every document has its number.".to_owned(),
        false => format!("{NUMBERS} would number these; nothing was written.\n{}", lines.join("\n")),
    };
    Ok((json!({ "job": NUMBERS, "dry_run": true, "series": rows }), text))
}

async fn dry(books: &Books, asked: &Asked, limit: u32, format: Format) -> anyhow::Result<u8> {
    let office = books.office().await?;
    if asked.job.name == NUMBERS {
        let (json, text) = numbers_ahead(&office).await?;
        format.print(&json, &text)?;
        return Ok(DONE);
    }
    if asked.job.due_kind.is_none() {
        return Err(BadInput(format!("--dry-run: {} only reads; run it, or `bursar verify`", asked.job.name)).into());
    }
    let now = office.clock.now();
    let until = asked.at.unwrap_or(now);
    if until < now {
        return Err(BadInput(format!("--at {until}: that has passed; what is due is settled as of now, {now}")).into());
    }
    let only = match &asked.account {
        Some(name) => Some(books::account(&office.store, name).await?),
        None => None,
    };
    let ahead = DryRun::of(&office, asked.job, only, until, limit).await?;
    format.print(&ahead.json(), &ahead.text())?;
    Ok(DONE)
}

/// What a run would do, and those accounts that would pay most.
pub struct DryRun {
    job: &'static str,
    until: Timestamp,
    preview: Preview,
    charges: Vec<Charged>,
}

impl DryRun {
    /// Decides everything up to `until`, and writes nothing.
    pub async fn of(
        office: &Office,
        job: &'static Registered,
        only: Option<AccountId>,
        until: Timestamp,
        limit: u32,
    ) -> anyhow::Result<Self> {
        let mut most = Most { limit: usize::try_from(limit)?, charges: Vec::new() };
        let preview = preview(office, job, only, until, |changes| most.add(Charged::of(changes))).await?;
        Ok(Self { job: job.name, until, preview, charges: most.charges() })
    }

    pub fn json(&self) -> serde_json::Value {
        let accounts: Vec<_> = self.charges.iter().map(Charged::json).collect();
        let (until, preview) = (written(self.until), previewed(&self.preview));
        json!({ "job": self.job, "until": until, "dry_run": true, "preview": preview, "accounts": accounts })
    }

    fn text(&self) -> String {
        let (ahead, charges) = (&self.preview, &self.charges);
        let accounts = counted(ahead.accounts, "account");
        let mut text = format!("{} at {} would settle {accounts}; nothing was written.\n", self.job, self.until);
        text += &summed(&ahead.moved, &ahead.counts);
        let mut table = table(&["account", "would be charged", "what would happen"], &[1]);
        for charged in charges {
            let amount = format!("{} {}", charged.currency, charged.amount);
            table.add_row([charged.account.clone(), amount, charged.told()]);
        }
        text += &format!("\n\n{table}");
        if ahead.accounts > u64::try_from(charges.len()).unwrap_or(u64::MAX) {
            let shown = charges.len();
            text += &format!("\nThe {shown} that would pay most of {accounts}; more of them with --limit.");
        }
        text
    }
}

/// Those that would pay most: no more are kept than are shown, or twice as many on the way.
struct Most {
    limit: usize,
    charges: Vec<Charged>,
}

impl Most {
    fn add(&mut self, charged: Charged) {
        self.charges.push(charged);
        if self.charges.len() >= 2 * self.limit {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.charges.sort_by(|a, b| (b.amount, &a.account).cmp(&(a.amount, &b.account)));
        self.charges.truncate(self.limit);
    }

    fn charges(mut self) -> Vec<Charged> {
        self.cut();
        self.charges
    }
}

/// What a dry run would charge an account.
struct Charged {
    account: String,
    currency: &'static str,
    amount: Micros,
    counts: BTreeMap<&'static str, u32>,
}

impl Charged {
    fn of(changes: &Changes) -> Self {
        let (mut amount, mut counts) = (Micros::ZERO, BTreeMap::new());
        for transfer in &changes.transfers {
            *counts.entry(transfer.kind.name()).or_default() += 1;
            if matches!(transfer.kind, TransferKind::Period | TransferKind::Upgrade | TransferKind::InvoiceIssued) {
                amount = amount.checked_add(transfer.amount).unwrap_or(Micros::new(i64::MAX));
            }
        }
        for event in &changes.events {
            *counts.entry(event.kind.name()).or_default() += 1;
        }
        let account = &changes.account;
        Self { account: account.name.clone(), currency: account.currency.code(), amount, counts }
    }

    fn json(&self) -> serde_json::Value {
        let Self { account, currency, amount, counts } = self;
        json!({ "account": account, "currency": currency, "amount": amount.to_string(), "counts": counts })
    }

    fn told(&self) -> String {
        self.counts.iter().map(|(what, times)| format!("{times} {what}")).collect::<Vec<_>>().join(", ")
    }
}

async fn enqueue(books: &Books, asked: &Asked, format: Format) -> anyhow::Result<u8> {
    let office = books.office_for_changes().await?;
    let now = office.clock.now();
    let starts_at = asked.at.unwrap_or(now);
    if starts_at < now {
        return Err(BadInput(format!("--at {starts_at}: that has passed; leave it out for now, {now}")).into());
    }
    refuse_paused(&office, asked.job.name).await?;
    let only = match &asked.account {
        Some(name) => Some(books::account(&office.store, name).await?),
        None => None,
    };
    let author = author();
    let order = RunOrder { starts_at, only, ..RunOrder::by(&author, now) };
    let run = open_run(&office, asked.job, &order, now).await?;
    let Some(run) = run else { anyhow::bail!("no run was opened") };
    if let Some(why) = &run.held_for {
        let text = format!(
            "Run {0} of {1} is held: {why}. See it: bursar runs show {0}; let it go on: bursar runs release {0}",
            run.id.0, run.job
        );
        format.print(&enqueued(&run), &text)?;
        return Ok(DONE);
    }
    let (id, when) = (run.id.0, if starts_at > now { format!(", from {starts_at} on") } else { String::new() });
    let text = format!("Run {id} of {} is queued{when}. Watch it: bursar runs watch {id}", run.job);
    format.print(&enqueued(&run), &text)?;
    Ok(DONE)
}

fn enqueued(run: &Run) -> serde_json::Value {
    json!({ "run": run.id, "job": run.job, "starts_at": written(run.starts_at), "held_for": run.held_for })
}

/// A run of a paused job would wait without a word.
pub async fn refuse_paused(office: &Office, job: &str) -> anyhow::Result<()> {
    if is_paused(office, job).await? {
        return Err(NotNow(format!("{job} is paused: `bursar jobs resume {job}` first")).into());
    }
    Ok(())
}

async fn pause(books: &Books, which: &Which, reason: &str, format: Format) -> anyhow::Result<u8> {
    let (jobs, store) = (which.jobs()?, books.store_for_changes().await?);
    let now = ::jobs::Clock::system().now();
    // A daemon that starts later must find them paused.
    ::jobs::enrol(&store.unnoted(), now).await?;
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for job in jobs {
        let paused = store.job_pause(job.name, &author(), reason, now).await?;
        lines.push(format!("{} {}", job.name, if paused { "is paused" } else { "was paused already" }));
        rows.push(json!({ "job": job.name, "paused": true, "before": !paused }));
    }
    format.print(&json!({ "jobs": rows }), &lines.join("\n"))?;
    Ok(DONE)
}

async fn resume(books: &Books, which: &Which, format: Format) -> anyhow::Result<u8> {
    let (jobs, store) = (which.jobs()?, books.store_for_changes().await?);
    let now = ::jobs::Clock::system().now();
    // Slots count from the resuming on: by a wrong clock they would not count for years.
    books::refuse_doubted_clock(&store).await?;
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for job in jobs {
        let resumed = store.job_resume(job.name, now).await?;
        let next = next_slot(job, now).map(|slot| slot.to_string());
        let told = if resumed { "is back at work; its next slot is" } else { "was not paused; its next slot is" };
        lines.push(format!("{} {told} {}", job.name, or_dash(next.as_deref())));
        rows.push(json!({ "job": job.name, "paused": false, "before": !resumed, "next_slot": next }));
    }
    format.print(&json!({ "jobs": rows }), &lines.join("\n"))?;
    Ok(DONE)
}
