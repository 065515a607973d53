//! `bursar books`: closing months.

use clap::Subcommand;
use jobs::{BATCH_ACCOUNTS, Office};
use rules::{AccountId, Period, Timestamp};
use serde_json::{Value, json};
use store::{CUT_OFF_IMPORT, CannotClose, Closing, InTheWay};

use crate::cli::author::author;
use crate::cli::books::{Books, NotNow, Refused};
use crate::cli::import::unfinished_import;
use crate::cli::report::{month, month_name};
use crate::cli::{DONE, Format};
use crate::tables::table;

#[derive(clap::Args)]
pub struct BooksArgs {
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    format: Format,
    #[command(subcommand)]
    command: BooksCommand,
}

#[derive(Subcommand)]
enum BooksCommand {
    /// Close a month: nothing takes effect in it any more
    ///
    /// Months close in order, the first one being that in which the books begin or that an import reaches back
    /// into, each of them once. Accounts that nobody touched since are settled to its end first. It is not closed
    /// while an account is not settled or is parked, an import was cut off, money that came is not in the books, a
    /// card has not answered or a run is held.
    ///
    /// Example:
    ///   bursar books close 2026-03
    #[command(verbatim_doc_comment)]
    Close {
        /// As in 2026-03
        #[arg(value_parser = month)]
        month: Period,
    },
    /// The months that are closed, since when and by whom
    List,
}

pub async fn run(args: BooksArgs) -> anyhow::Result<u8> {
    match args.command {
        BooksCommand::Close { month } => close_by_command(&args.books, month, args.format).await,
        BooksCommand::List => {
            let closings = args.books.store().await?.closings().await?;
            let json: Vec<Value> = closings.iter().map(closing_json).collect();
            args.format.print(&json!({ "months": json }), &list_text(&closings))?;
            Ok(DONE)
        }
    }
}

/// What to do about what is in the way, in the words of whoever is told.
pub struct Ways<'a> {
    pub resume: &'a (dyn Fn(&str) -> String + Sync),
    pub finish_import: &'a (dyn Fn(&str) -> String + Sync),
}

async fn close_by_command(books: &Books, month: Period, format: Format) -> anyhow::Result<u8> {
    let office = books.office_for_changes().await?;
    let resume = |job: &str| format!("`{}`", books.command(&["jobs", "resume", job]));
    let finish_import = |file: &str| unfinished_import(books, file);
    let closing = close(&office, month, &author(), &Ways { resume: &resume, finish_import: &finish_import }).await?;
    format.print(&closing_json(&closing), &format!("{} is closed.", month_name(month)))?;
    Ok(DONE)
}

/// Closes a month, or says what is in the way.
pub async fn close(office: &Office, month: Period, author: &str, ways: &Ways<'_>) -> anyhow::Result<Closing> {
    let (name, now) = (month_name(month), office.clock.now());
    if now < month.to {
        return Err(NotNow(format!("{name} ends at {}", month.to)).into());
    }
    // Settling moves money: not for a month that does not close all the same.
    if let Some(why) = office.store.close_refused(month).await? {
        return Err(not_closed(ways, month, why));
    }
    refuse_paused(ways, office).await?;
    settle_behind(&office.unnoted(), month.to).await?;
    let closing = Closing { month, closed_at: office.clock.now(), author: author.to_owned() };
    office.store.close_month(&closing).await?.map_err(|why| not_closed(ways, month, why))?;
    Ok(closing)
}

/// A job that is paused keeps what is due from being done: closing would do it.
async fn refuse_paused(ways: &Ways<'_>, office: &Office) -> anyhow::Result<()> {
    let controls = office.store.job_controls().await?;
    let paused = controls
        .iter()
        .find(|control| control.is_paused() && ::jobs::job(&control.job).is_some_and(|job| job.due_kind.is_some()));
    match paused {
        None => Ok(()),
        Some(control) => {
            let (job, resume) = (&control.job, (ways.resume)(&control.job));
            Err(NotNow(format!("{job} is paused, and closing a month does what it has to do: {resume} first")).into())
        }
    }
}

fn not_closed(ways: &Ways<'_>, month: Period, why: CannotClose) -> anyhow::Error {
    let name = month_name(month);
    match why {
        CannotClose::Already(closing) => {
            let why = format!("{name} is closed since {}, by {}", closing.closed_at, closing.author);
            Refused { code: "already_closed", why }.into()
        }
        CannotClose::Before(first) => {
            let why = format!("the next month to close is {}", month_name(first));
            Refused { code: "not_the_next", why }.into()
        }
        CannotClose::NoBooks => NotNow("there are no accounts yet, so there is no month to close".to_owned()).into(),
        CannotClose::InTheWay(reasons) => {
            let reasons: Vec<String> = reasons.iter().map(|reason| in_the_way(ways, reason)).collect();
            NotNow(format!("{name} cannot be closed yet:\n  {}", reasons.join("\n  "))).into()
        }
    }
}

/// Accounts on which nothing was due are as far as they were touched last.
async fn settle_behind(office: &Office, until: Timestamp) -> anyhow::Result<()> {
    let limit = u32::try_from(BATCH_ACCOUNTS)?;
    let mut after = AccountId(i64::MIN);
    loop {
        let behind = office.store.accounts_behind(until, after, limit).await?;
        let Some(last) = behind.last() else { return Ok(()) };
        after = *last;
        office.settle_and_collect_until(&behind, until, office.clock.now()).await?;
    }
}

fn in_the_way(ways: &Ways<'_>, reason: &InTheWay) -> String {
    let more = reason.count.saturating_sub(u64::try_from(reason.first.len()).unwrap_or(u64::MAX));
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let way_out = match reason.first.first().filter(|_| reason.what == CUT_OFF_IMPORT) {
        Some(file) => format!("; {}", (ways.finish_import)(file)),
        None => String::new(),
    };
    format!("{} {}: {}{more}{way_out}", reason.count, reason.what, reason.first.join(", "))
}

pub fn closing_json(closing: &Closing) -> Value {
    let (month, closed_at) = (month_name(closing.month), closing.closed_at.to_string());
    json!({ "month": month, "closed_at": closed_at, "author": closing.author })
}

fn list_text(closings: &[Closing]) -> String {
    if closings.is_empty() {
        return "No month is closed.".to_owned();
    }
    let mut table = table(&["month", "closed at", "by"], &[]);
    for closing in closings {
        table.add_row([&month_name(closing.month), &closing.closed_at.to_string(), &closing.author]);
    }
    table.to_string()
}
