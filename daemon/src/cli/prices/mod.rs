//! `bursar prices`: price lists, from the check of a file to the withdrawal of what was published.

pub mod apply;
pub mod diff;
pub mod list;
pub mod withdraw;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use rules::{PriceBook, PriceList, Timestamp};
use store::{PublishedList, Revision, Store};

use crate::cli::books::Books;
use crate::cli::{Format, check};
use crate::input::{BadInput, PriceListFile, arguments, read_price_lists};

#[derive(Subcommand)]
pub enum Prices {
    /// Check price lists, in the order in which they take effect; tells all problems at once
    ///
    /// Examples:
    ///   bursar prices check config/prices/vps.toml config/prices/cloud.toml
    ///   bursar prices check next.toml --format json
    #[command(verbatim_doc_comment)]
    Check {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Show who would pay what more, before a list is applied; changes nothing
    ///
    /// Every living service is priced by the lists in force when the new one takes effect, without it and with
    /// it. Accounts are ordered by what they pay more a month (a day counts 365/12 times, an hour 730 times).
    ///
    /// Examples:
    ///   bursar prices diff next.toml --effective-at 2027-01-01T00:00:00Z
    ///   bursar prices diff next.toml --all --format json
    #[command(verbatim_doc_comment)]
    Diff(DiffArgs),
    /// Publish a list; from its second on it prices what begins
    ///
    /// Shows what it changes and asks. A list that takes effect before now, or that does not fit over the older
    /// and under the later ones, is refused.
    ///
    /// Examples:
    ///   bursar prices apply next.toml --effective-at 2027-01-01T00:00:00Z
    ///   bursar prices apply next.toml --yes
    #[command(verbatim_doc_comment)]
    Apply(ApplyArgs),
    /// Take back a list that nothing was charged by yet
    ///
    /// The list stays in `prices list`, with who withdrew it, when and why.
    ///
    /// Examples:
    ///   bursar prices withdraw 3 --reason "a zero too many"
    #[command(verbatim_doc_comment)]
    Withdraw(WithdrawArgs),
    /// Show all lists, in the order in which they take effect
    ///
    /// Examples:
    ///   bursar prices list --format json
    #[command(verbatim_doc_comment)]
    List(ListArgs),
}

#[derive(Args)]
pub struct NewList {
    #[command(flatten)]
    books: Books,
    /// The price list, in TOML or JSON
    file: PathBuf,
    /// From when it prices what begins, instead of the file's `effective_at`
    #[arg(long, value_name = "TIME", value_parser = arguments::second)]
    effective_at: Option<Timestamp>,
}

#[derive(Args)]
pub struct DiffArgs {
    #[command(flatten)]
    new: NewList,
    /// All accounts that see a difference, not only those that pay most more
    #[arg(long)]
    all: bool,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    new: NewList,
    /// Apply it without asking
    #[arg(long)]
    yes: bool,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Args)]
pub struct WithdrawArgs {
    #[command(flatten)]
    books: Books,
    /// As `prices list` shows it
    id: i64,
    /// Why, for who looks later
    #[arg(long, value_name = "TEXT", value_parser = arguments::text)]
    reason: String,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub async fn run(command: Prices) -> anyhow::Result<u8> {
    match command {
        Prices::Check { files, format } => check::prices(&files, format),
        Prices::Diff(args) => diff::run(args).await,
        Prices::Apply(args) => apply::run(args).await,
        Prices::Withdraw(args) => withdraw::run(args).await,
        Prices::List(args) => list::run(args).await,
    }
}

/// A list that is not published yet, between the lists that are.
pub struct Laid {
    /// Where it comes from, for what is told of it.
    source: String,
    pub list: PriceList,
    pub since: Timestamp,
    /// The books of the lists without it and with it, and what they are of.
    pub old: PriceBook,
    pub new: PriceBook,
    pub seen: Revision,
}

impl Laid {
    /// Lays a list over the older ones, and the later ones over it.
    pub async fn over(store: &Store, file: PriceListFile) -> anyhow::Result<Self> {
        let (since, source) = (file.since(), file.path.display().to_string());
        let seen = store.revision().await?;
        let lists: Vec<PublishedList> =
            store.price_lists().await?.into_iter().filter(|list| list.withdrawn.is_none()).collect();
        let old = store.price_book().await?;
        let new = lay_between(&lists, since, &file.plans).map_err(|problem| refused(&source, &problem))?;
        Ok(Self { source, list: file.plans, since, old, new, seen })
    }

    fn refused(&self, problem: &str) -> BadInput {
        refused(&self.source, problem)
    }
}

impl NewList {
    async fn lay(&self, store: &Store) -> anyhow::Result<Laid> {
        let file = self.read()?;
        Laid::over(store, PriceListFile { effective_at: self.effective_at.or(file.effective_at), ..file }).await
    }

    fn read(&self) -> anyhow::Result<PriceListFile> {
        let mut files = read_price_lists(std::slice::from_ref(&self.file))?;
        files.pop().ok_or_else(|| BadInput(format!("{}: there is no price list in it", self.file.display())).into())
    }
}

fn refused(source: &str, problem: &str) -> BadInput {
    BadInput(format!("{source}: {problem}"))
}

fn lay_between(lists: &[PublishedList], since: Timestamp, new: &PriceList) -> Result<PriceBook, String> {
    let place = lists.partition_point(|list| list.effective_at <= since);
    let mut book = PriceBook::default();
    let mut lay = |at: Timestamp, list: &PriceList, problem: &dyn Fn() -> String| {
        book.lay(at, list.clone()).map_err(|conflicts| {
            let conflicts: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
            format!("{}: {}", problem(), conflicts.join("; "))
        })
    };
    for list in &lists[..place] {
        lay(list.effective_at, &list.list, &|| format!("list {} cannot be laid over the older ones", list.id))?;
    }
    lay(since, new, &|| "it cannot be laid over the lists before it".to_owned())?;
    for list in &lists[place..] {
        lay(list.effective_at, &list.list, &|| format!("list {}, which takes effect later, would not fit", list.id))?;
    }
    Ok(book)
}

/// The second of a list as people read it.
pub fn since(at: Timestamp) -> String {
    if at == Timestamp::BEGINNING { "always".to_owned() } else { at.to_string() }
}
