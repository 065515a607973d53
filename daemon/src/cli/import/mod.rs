//! `bursar import`.

mod give_up;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use jobs::Office;
use rules::{Currency, Micros, Timestamp};
use serde_json::{Value, json};
use store::{GivenUp, Import};

use crate::cli::author::author;
use crate::cli::books::{Books, NotNow, Refused, refuse_doubted_clock};
use crate::cli::rows::with_currency;
use crate::cli::{DONE, Format};
use crate::import::{Checked, Contended, Looked, Source, bring_in, look};
use crate::input::{BadInput, Problems, arguments};
use crate::tables::counted;

/// Of a file's hash, so much tells it from others, and fewer characters may be a name.
pub const HASH_START: usize = 12;

#[derive(clap::Args)]
pub struct ImportArgs {
    #[command(flatten)]
    books: Books,
    /// The accounts, in JSON Lines; the format is in docs/operating/import.md
    ///
    /// To give an import up: its file, or where that is lost, its name as it was given or the start of its hash, as
    /// `bursar doctor` shows them.
    file: PathBuf,
    /// Check the file and show what it comes to; writes nothing
    #[arg(long)]
    dry_run: bool,
    /// The second as of which the file describes the accounts; without it, now
    #[arg(long, value_name = "TIME", value_parser = arguments::second)]
    as_of: Option<Timestamp>,
    /// Have the rest of an import that was cut off not come: what is in the books stays
    #[arg(long, requires = "reason", conflicts_with_all = ["dry_run", "as_of"])]
    give_up: bool,
    /// Why it is given up, for who looks later
    #[arg(long, value_name = "TEXT", requires = "give_up", value_parser = arguments::text)]
    reason: Option<String>,
    /// Give it up without being asked
    #[arg(long, requires = "give_up")]
    yes: bool,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub async fn run(args: ImportArgs) -> anyhow::Result<u8> {
    if let Some(reason) = args.reason.as_ref().filter(|_| args.give_up) {
        return give_up::run(&args, reason).await;
    }
    let office = if args.dry_run { args.books.office().await? } else { args.books.office_for_arrivals().await? };
    refuse_doubted_clock(&office.store).await?;
    let now = office.clock.now();
    if let Some(as_of) = args.as_of.filter(|as_of| *as_of > now) {
        return Err(BadInput(format!("--as-of {as_of}: it is not after now, {now}")).into());
    }
    let source = match Source::of(&args.file) {
        Ok(source) => source,
        Err(error) => {
            let problem = Problems::of_file(args.file.display().to_string(), format!("can't be read: {error}"));
            return Err(problem.into());
        }
    };
    let done = import(&office, &source, &args).await;
    office.store.close().await;
    done.map_err(|error| if error.is::<Contended>() { NotNow(error.to_string()).into() } else { error })
}

/// Checks a file whole, and brings in what of it is not in the books.
async fn import(office: &Office, source: &Source, args: &ImportArgs) -> anyhow::Result<u8> {
    let checked = match look(office, source, args.as_of).await? {
        Looked::Fine(checked) => checked,
        Looked::Wrong(problems) => return Err(problems.into()),
        Looked::Done(import) => {
            args.format.print(&done_before(source, &import), &was_brought_in(source, &import))?;
            return Ok(DONE);
        }
        Looked::GivenUp { import, given_up, line } => return Err(was_given_up(&import, &given_up, line).into()),
    };
    let outcome = if args.dry_run { "checked" } else { "brought_in" };
    // A daemon that starts on these books for the first time looks at all of it.
    let begins = office.store.last_alive().await?.is_none();
    let slots = if begins { BTreeSet::new() } else { checked.at_once.slots.clone() };
    let mut json = brought_in(source, &checked, outcome);
    json["enqueue"] = json!(slots);
    if args.format == Format::Table {
        // Before anything is written: whoever sees that it is not what it should be can stop it.
        print_totals(&checked)?;
    }
    if !args.dry_run {
        let bar = progress_bar(&checked)?;
        bring_in(office, source, *checked, author(), |up_to| bar.set_position(up_to)).await?;
        bar.finish_and_clear();
    }
    let text =
        if args.dry_run { "Nothing was written.".to_owned() } else { format!("Brought in.{}", in_slots(&slots)) };
    args.format.print(&json, &text)?;
    Ok(DONE)
}

fn print_totals(checked: &Checked) -> io::Result<()> {
    let Checked { totals, at_once, begun, .. } = checked;
    let mut out = io::stdout().lock();
    let (accounts, services) = (counted(totals.accounts, "account"), counted(totals.services, "service"));
    writeln!(out, "{accounts}, {services}, {}", counted(totals.invoices, "open invoice"))?;
    let (wallets, open) = (amounts(&totals.wallets), amounts(&totals.open));
    writeln!(out, "wallets come to {wallets}, open invoices to {open}")?;
    if !at_once.paid.is_empty() {
        writeln!(out, "of the open invoices {} is paid from wallets at once", amounts(&at_once.paid))?;
    }
    if at_once.restored > 0 {
        writeln!(out, "suspended accounts that this restores: {}", at_once.restored)?;
    }
    if at_once.suspended > 0 {
        let suspended = at_once.suspended;
        writeln!(out, "accounts that are suspended at once, for an invoice of them is overdue: {suspended}")?;
    }
    if at_once.behind > 0 {
        writeln!(out, "accounts with something due by now: {}", at_once.behind)?;
    }
    if let Some(import) = begun {
        writeln!(out, "It goes on behind account {} of {}.", import.up_to, import.accounts)?;
    }
    out.flush()
}

/// What nobody looks at before its slot, and how to have it done now.
fn in_slots(slots: &BTreeSet<&str>) -> String {
    let each = slots.iter().map(|job| {
        format!("\nWhat {job} has to do for them waits for its next slot; at once: `bursar jobs enqueue {job}`")
    });
    each.collect()
}

fn amounts(sums: &BTreeMap<String, Micros>) -> String {
    let each = |(code, sum): (&String, &Micros)| match Currency::parse(code) {
        Some(currency) => with_currency(*sum, currency),
        None => format!("{sum} {code}"),
    };
    match sums.is_empty() {
        true => "nothing".to_owned(),
        false => sums.iter().map(each).collect::<Vec<_>>().join(", "),
    }
}

/// What to do about one that was cut off.
pub fn unfinished_import(books: &Books, file: &str) -> String {
    // What begins with a dash is no option.
    let file = if file.starts_with('-') { format!("./{file}") } else { file.to_owned() };
    let go_on = books.command(&["import", &file]);
    format!("go on by `{go_on}`, or give it up: `{} --reason TEXT`", books.command(&["import", &file, "--give-up"]))
}

fn was_given_up(import: &Import, given_up: &GivenUp, line: usize) -> Refused {
    let (Import { up_to, accounts, .. }, GivenUp { at, by, reason }) = (import, given_up);
    let why = format!(
        "its import was given up at {at} by {by}: {reason}. {up_to} of its {accounts} accounts are in the books; the \
         first of the others stands on line {line}: bring them in by a file of their own, with its own totals"
    );
    Refused { code: "import_given_up", why }
}

fn was_brought_in(source: &Source, import: &Import) -> String {
    let finished = import.finished_at.map_or_else(String::new, |at| format!(" at {at}"));
    format!("{}: was brought in{finished}, as of {}; nothing changes", source.path.display(), import.at)
}

fn done_before(source: &Source, import: &Import) -> Value {
    json!({
        "file": source.path.display().to_string(),
        "outcome": "nothing_changes",
        "as_of": import.at.to_string(),
        "finished_at": import.finished_at.map(|at| at.to_string()),
        "accounts": import.accounts,
    })
}

fn brought_in(source: &Source, checked: &Checked, outcome: &str) -> Value {
    let Checked { totals, at_once, begun, at, .. } = checked;
    let sums = |sums: &BTreeMap<String, Micros>| {
        sums.iter().map(|(code, sum)| (code.clone(), sum.to_string())).collect::<BTreeMap<_, _>>()
    };
    json!({
        "file": source.path.display().to_string(),
        "outcome": outcome,
        "as_of": at.to_string(),
        "accounts": totals.accounts,
        "services": totals.services,
        "invoices": totals.invoices,
        "wallets": sums(&totals.wallets),
        "open": sums(&totals.open),
        "paid_at_once": sums(&at_once.paid),
        "restored": at_once.restored,
        "suspended": at_once.suspended,
        "behind": at_once.behind,
        "there_before": begun.as_ref().map_or(0, |import| import.up_to),
    })
}

/// On stderr, and only where somebody looks.
fn progress_bar(checked: &Checked) -> anyhow::Result<ProgressBar> {
    if !io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos} of {len} accounts  {per_sec}  {eta} left")?;
    let there = checked.begun.as_ref().map_or(0, |import| import.up_to);
    Ok(ProgressBar::new(checked.totals.accounts).with_style(style).with_position(there))
}
