//! `bursar simulate`.

use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{DONE, Format, SimulateArgs};
use crate::input::Scenario;
use crate::simulate::{print_tables, simulate};

pub async fn run(args: SimulateArgs) -> anyhow::Result<u8> {
    let scenario = Scenario::read(&args.file)?;
    let bar = progress_bar(&scenario)?;
    let start = scenario.timeline.first().map_or(scenario.until, |entry| entry.at);
    let outcome = simulate(&scenario, args.disturb, args.database_url.as_deref(), |now| {
        bar.set_position(u64::try_from(now.secs() - start.secs()).unwrap_or_default());
        bar.set_message(now.to_string());
    })
    .await?;
    bar.finish_and_clear();
    let mut out = io::stdout().lock();
    match args.format {
        Format::Json => out.write_all(outcome.to_json()?.as_bytes())?,
        Format::Table => print_tables(&outcome, &mut out)?,
    }
    out.flush()?;
    Ok(DONE)
}

/// On stderr, and only where somebody looks.
fn progress_bar(scenario: &Scenario) -> anyhow::Result<ProgressBar> {
    let (Some(first), true) = (scenario.timeline.first(), io::stderr().is_terminal()) else {
        return Ok(ProgressBar::hidden());
    };
    let span = u64::try_from(scenario.until.secs() - first.at.secs()).unwrap_or_default();
    let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {msg}  {elapsed} of about {duration}")?;
    Ok(ProgressBar::new(span).with_style(style))
}
