//! `bursar fence`: whether these books are a copy that is only read, and what is to become of it.

use clap::Subcommand;
use jobs::Clock;
use serde_json::{Value, json};
use store::{Fence, NewFence, Store};

use crate::cli::author::author;
use crate::cli::books::{Books, Refused};
use crate::cli::{DONE, Format};
use crate::input::arguments;
use crate::tables::counted;

#[derive(clap::Args)]
pub struct FenceArgs {
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    format: Format,
    #[command(subcommand)]
    command: FenceCommand,
}

#[derive(Subcommand)]
enum FenceCommand {
    /// Whether a fence stands, and the fences that stood before
    ///
    /// Example:
    ///   bursar fence show
    #[command(verbatim_doc_comment)]
    Show,
    /// Say that these books are a copy: from then on they are only read
    ///
    /// `bursar restore` does that by itself. After a copy by other means (a file that was copied, a snapshot of a
    /// disk, a server set back to an earlier second) do it before any daemon serves the copy.
    ///
    /// Example:
    ///   bursar fence raise --reason "the snapshot of last night, to look at"
    #[command(verbatim_doc_comment)]
    Raise {
        /// For whoever asks why nothing is changed
        #[arg(long, value_parser = arguments::text)]
        reason: String,
    },
    /// Take the fence down: this copy goes on, and the original never again
    ///
    /// Without --original-is-stopped it only tells what would come: since when the copy knows nothing, and what to
    /// compare with the providers first. With it a daemon on these books bills, asks cards and gives out numbers from
    /// the next second on, and makes up for the time since the copy was taken.
    ///
    /// Examples:
    ///   bursar fence lift --reason "the disk of the old machine is gone"
    ///   bursar fence lift --reason "the disk of the old machine is gone" --original-is-stopped
    #[command(verbatim_doc_comment)]
    Lift {
        /// For the audit log, and whoever asks later
        #[arg(long, value_parser = arguments::text)]
        reason: String,
        /// The original is served by nobody, and never will be again
        #[arg(long)]
        original_is_stopped: bool,
    },
}

pub async fn run(args: FenceArgs) -> anyhow::Result<u8> {
    let FenceArgs { books, format, command } = args;
    match command {
        FenceCommand::Show => show(&books.store().await?, format).await,
        FenceCommand::Raise { reason } => raise(&books, &reason, format).await,
        FenceCommand::Lift { reason, original_is_stopped } => lift(&books, &reason, original_is_stopped, format).await,
    }
}

async fn show(store: &Store, format: Format) -> anyhow::Result<u8> {
    let fences = store.fences().await?;
    let stands = fences.iter().any(|fence| fence.lifted.is_none());
    let mut lines: Vec<String> = fences.iter().map(told).collect();
    if !stands {
        lines.push("No fence stands: these books go on.".to_owned());
    }
    let rows: Vec<Value> = fences.iter().map(row).collect();
    format.print(&json!({ "fenced": stands, "fences": rows }), &lines.join("\n"))?;
    Ok(DONE)
}

async fn raise(books: &Books, reason: &str, format: Format) -> anyhow::Result<u8> {
    let store = books.store_at_the_fence().await?;
    let (at, by) = (Clock::system().now(), author());
    if !store.fence_raise(NewFence { taken_at: None, at, by: &by, reason }).await? {
        let why = "a fence stands already: see `bursar fence show`".to_owned();
        return Err(Refused { code: "fenced", why }.into());
    }
    let json = json!({ "fenced": true, "at": at.to_string(), "by": by });
    format.print(&json, "A fence stands: these books can be served and read, and nothing is changed in them.")?;
    Ok(DONE)
}

async fn lift(books: &Books, reason: &str, is_stopped: bool, format: Format) -> anyhow::Result<u8> {
    const LOOKED_AT: u32 = 10_000;
    let store = books.store_at_the_fence().await?;
    let Some(fence) = store.fence().await? else {
        let why = "no fence stands: these books go on already".to_owned();
        return Err(Refused { code: "not_fenced", why }.into());
    };
    let taken_at = fence.taken_at;
    if !is_stopped {
        let asked = store.intents_open(LOOKED_AT).await?.len();
        let why = format!(
            "these books know nothing of what came after {taken_at}. Once they go on, all that fell due since is made \
            up for, cards are asked ({} without an answer in them) and numbers of invoices are given out that the \
            original may have given out already. Stop the original for good, compare what came since with the \
            providers, the bank and the panel (docs/operating/backup.md), and then add --original-is-stopped. So that \
            nothing is charged before the rest is entered, do it while no daemon serves this copy, and then: {}",
            counted(asked, "charge"),
            books.command(&["jobs", "pause", "--all", "--reason", "TEXT"])
        );
        return Err(Refused { code: "needs_confirmation", why }.into());
    }
    let (now, by) = (Clock::system().now(), author());
    if !store.fence_lift(now, &by, reason).await? {
        let why = "another one took it down just now: these books go on".to_owned();
        return Err(Refused { code: "not_fenced", why }.into());
    }
    let json = json!({ "fenced": false, "at": now.to_string(), "by": by, "taken_at": taken_at.to_string() });
    let text = format!(
        "The fence is down: these books go on from {taken_at}. A daemon that serves them goes on within seconds; else \
        start one. Then: bursar verify, bursar runs list, bursar doctor."
    );
    format.print(&json, &text)?;
    Ok(DONE)
}

fn told(fence: &Fence) -> String {
    let Fence { taken_at, raised_at, raised_by, reason, lifted } = fence;
    let stands = match lifted {
        None => "It stands.".to_owned(),
        Some((at, by, why)) => format!("It was taken down at {at} by {by}: {why}."),
    };
    format!("A copy with all that was committed by {taken_at}; fence of {raised_at} by {raised_by}: {reason}. {stands}")
}

fn row(fence: &Fence) -> Value {
    let lifted = fence.lifted.as_ref();
    json!({
        "taken_at": fence.taken_at.to_string(),
        "raised_at": fence.raised_at.to_string(),
        "raised_by": fence.raised_by,
        "reason": fence.reason,
        "lifted_at": lifted.map(|(at, ..)| at.to_string()),
        "lifted_by": lifted.map(|(_, by, _)| by),
        "lift_reason": lifted.map(|(.., why)| why),
    })
}
