//! `bursar demo`: three sample hosts in one throwaway database, last month played, tonight's midnight live.

mod dice;
mod hosts;
mod night;
mod story;
mod summary;

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use jobs::Clock;
use providers::ScriptedCards;
use rules::{PriceList, Timestamp};
use store::{Opening, Store, Violation};

use crate::demo::summary::Summary;
use crate::input::{Scenario, read_price_lists};
use crate::simulate::Player;

const PRICE_LISTS: [(&str, &str); 3] = [
    ("device-management.toml", include_str!("../../../config/prices/device-management.toml")),
    ("vps.toml", include_str!("../../../config/prices/vps.toml")),
    ("cloud.toml", include_str!("../../../config/prices/cloud.toml")),
];

const BOOKS: &str = "books.db";

/// Plays the demo and prints what came of it; fails if the night was not done or the books do not verify.
pub async fn demo(keep: Option<&Path>) -> anyhow::Result<()> {
    let tonight = Clock::system().now().next_midnight();
    let scratch = tempfile::tempdir().context("cannot make a folder for the throwaway database")?;
    let folder = match keep {
        Some(folder) => empty(folder)?,
        None => scratch.path().to_owned(),
    };
    // Interrupted, the throwaway folder goes as well.
    let outcome = tokio::select! {
        played = play_all(&folder, tonight) => played?,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
    };
    let mut out = io::stdout().lock();
    outcome.print(&mut out)?;
    if keep.is_some() {
        writeln!(out, "They stay at {}: see `bursar verify`.", folder.join(BOOKS).display())?;
    }
    anyhow::ensure!(outcome.violations.is_empty(), "the books do not verify");
    Ok(())
}

/// The folder to keep the books in.
fn empty(folder: &Path) -> anyhow::Result<PathBuf> {
    let books = folder.join(BOOKS);
    anyhow::ensure!(!books.exists(), "--keep {}: there are books already, at {}", folder.display(), books.display());
    std::fs::create_dir_all(folder).with_context(|| format!("--keep {}: cannot make it", folder.display()))?;
    Ok(folder.to_owned())
}

/// Plays everything into `folder` and reads what came of it.
async fn play_all(folder: &Path, tonight: Timestamp) -> anyhow::Result<Outcome> {
    let scenario = hosts::scenario(price_lists(folder)?, tonight)?;
    let url = format!("sqlite:{}", folder.join(BOOKS).display());
    let cards = play(&scenario, &url).await?;
    let bar = bar("tonight    ", 1)?;
    night::live(url.clone(), scenario.policy.clone(), cards, tonight, &bar).await?;
    bar.finish_and_clear();
    let store = Store::open(&url, Opening::beside()).await?;
    let summary = Summary::read(&store, tonight).await?;
    let violations = store.verify(None, &scenario.policy).await?;
    store.close().await;
    Ok(Outcome { summary, violations })
}

/// What the demo came to.
struct Outcome {
    summary: Summary,
    violations: Vec<Violation>,
}

impl Outcome {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        self.summary.print(out)?;
        for violation in &self.violations {
            writeln!(out, "broken: {violation}")?;
        }
        match self.violations.len() {
            0 => writeln!(out, "The books verify: every invariant holds."),
            broken => writeln!(out, "The books do not verify: {broken} violations."),
        }
    }
}

/// The lists that the program was built with, so that it works from anywhere.
fn price_lists(folder: &Path) -> anyhow::Result<PriceList> {
    let folder = folder.join("prices");
    std::fs::create_dir_all(&folder)?;
    let mut paths = Vec::new();
    for (name, text) in PRICE_LISTS {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        paths.push(path);
    }
    let files = read_price_lists(&paths).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    Ok(files.into_iter().flat_map(|file| file.plans).collect())
}

/// Plays up to the evening, faster than a disk would allow; the cards go on answering as they did.
async fn play(scenario: &Scenario, url: &str) -> anyhow::Result<Arc<ScriptedCards>> {
    let start = scenario.timeline.first().map_or(scenario.until, |entry| entry.at);
    let store = Store::open(url, Opening::scratch(start)).await?;
    let player = Player::new(scenario, store.clone(), None).await?;
    let cards = player.cards();
    let passed = |now: Timestamp| u64::try_from(now.secs() - start.secs()).unwrap_or_default();
    let bar = bar("last month ", passed(scenario.until))?;
    let (_, refused) = player
        .play(|now| {
            bar.set_position(passed(now));
            bar.set_message(now.to_string());
        })
        .await?;
    bar.finish_and_clear();
    // Customers ask for what they cannot have: an extension too late, a processor more where there is none.
    tracing::debug!(?refused, "refused");
    store.close().await;
    Ok(cards)
}

/// On stderr, and only where somebody looks.
fn bar(title: &'static str, length: u64) -> anyhow::Result<ProgressBar> {
    if !io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent:>3} %  {msg}")?;
    Ok(ProgressBar::new(length).with_style(style).with_prefix(title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_night_to_the_first_does_everything_and_the_books_verify() {
        let folder = tempfile::tempdir().expect("a folder");
        let tonight = Timestamp::parse("2027-03-01T00:00:00Z").expect("a time");
        let outcome = play_all(folder.path(), tonight).await.expect("a night that is done");
        assert_eq!(outcome.violations.len(), 0, "{:?}", outcome.violations);
        let mut printed = Vec::new();
        outcome.print(&mut printed).expect("printed");
        let printed = String::from_utf8(printed).expect("text");
        for row in ["days and terms", "invoices issued", "instances disabled", "services renewed", "trials ended"] {
            let line = printed.lines().find(|line| line.contains(row)).expect(row);
            let tonight = line.rsplit('┆').next().unwrap_or_default();
            assert!(tonight.contains(|digit: char| digit.is_ascii_digit()), "{line}\n{printed}");
        }
        assert!(printed.contains(" of plan acs-"), "{printed}");
    }

    #[tokio::test]
    async fn books_that_are_kept_are_not_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(BOOKS), "books").expect("written");
        let refused = demo(Some(folder.path())).await.expect_err("books are there").to_string();
        assert!(refused.contains("there are books already"), "{refused}");
    }
}
