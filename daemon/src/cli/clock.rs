//! `bursar clock`: whether the daemon believes its clock.

use clap::Subcommand;
use serde_json::json;

use store::ClockDoubt;

use crate::cli::author::author;
use crate::cli::books::{Books, NotNow};
use crate::cli::{DONE, Format};
use crate::tables::written;

#[derive(clap::Args)]
pub struct ClockArgs {
    #[command(subcommand)]
    command: ClockCommand,
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    format: Format,
}

#[derive(Subcommand)]
enum ClockCommand {
    /// What the clock says, and whether it is in doubt
    ///
    /// Example:
    ///   bursar clock show
    #[command(verbatim_doc_comment)]
    Show,
    /// Say that the clock is right now, after it jumped: the daemon goes on from there
    ///
    /// Look at the date first. A wrong one bills for time that did not pass.
    ///
    /// Examples:
    ///   bursar clock show
    ///   bursar clock confirm
    #[command(verbatim_doc_comment)]
    Confirm,
}

pub async fn run(args: ClockArgs) -> anyhow::Result<u8> {
    let store = match args.command {
        ClockCommand::Show => args.books.store().await?,
        ClockCommand::Confirm => args.books.store_for_changes().await?,
    };
    let now = ::jobs::Clock::system().now();
    let (doubts, alive) = (store.clock_doubts().await?, store.last_alive().await?);
    match args.command {
        ClockCommand::Show => {
            let told = alive.map_or_else(|| "never".to_owned(), |alive| alive.to_string());
            let mut text = format!("The clock says {now}; a daemon was alive last at {told}.");
            for ClockDoubt { worker, observed_at, expected_at, .. } in &doubts {
                text +=
                    &format!("\n{worker} doubts its own: it said {observed_at} and should have said {expected_at}.");
            }
            if !doubts.is_empty() {
                text += &format!("\nIf {now} is right, say so: bursar clock confirm");
            }
            let doubts = doubts.iter().map(|doubt| {
                let (observed, expected) = (written(doubt.observed_at), written(doubt.expected_at));
                json!({ "worker": doubt.worker, "observed": observed, "expected": expected })
            });
            let doubts: Vec<_> = doubts.collect();
            let json = json!({ "now": written(now), "last_alive": written(alive), "doubts": doubts });
            args.format.print(&json, &text)?;
        }
        ClockCommand::Confirm => {
            if !store.clock_confirm(now, &author()).await? {
                return Err(NotNow("nobody doubts the clock".to_owned()).into());
            }
            let json = json!({ "confirmed": true, "now": written(now) });
            args.format
                .print(&json, &format!("Confirmed: it is {now}. Whoever doubted it goes on within a second."))?;
        }
    }
    Ok(DONE)
}
