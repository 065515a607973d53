//! `bursar import`.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use jobs::Office;
use rules::{Micros, Timestamp};

use crate::cli::DONE;
use crate::cli::books::{Books, NotNow, author, refuse_doubted_clock};
use crate::cli::check::refuse;
use crate::import::{Checked, Contended, Looked, bring_in, hash_of, look};
use crate::input::{BadInput, Problems, Totals, arguments};

#[derive(clap::Args)]
pub struct ImportArgs {
    #[command(flatten)]
    books: Books,
    /// The accounts, in JSON Lines; the format is in docs/operating/import.md
    file: PathBuf,
    /// Check the file and show what it comes to; writes nothing
    #[arg(long)]
    dry_run: bool,
    /// The second as of which the file describes the accounts; without it, now
    #[arg(long, value_name = "TIME", value_parser = arguments::second)]
    as_of: Option<Timestamp>,
}

pub async fn run(args: ImportArgs) -> anyhow::Result<u8> {
    let office = args.books.office().await?;
    let hash = match hash_of(&args.file) {
        Ok(hash) => hash,
        Err(error) => {
            let problem = Problems::of_file(args.file.display().to_string(), format!("can't be read: {error}"));
            return Ok(refuse(&problem));
        }
    };
    refuse_doubted_clock(&office.store).await?;
    let now = office.clock.now();
    let as_of = args.as_of.unwrap_or(now);
    if as_of > now {
        return Err(BadInput(format!("--as-of {as_of}: it is not after now, {now}")).into());
    }
    let status = import(&office, (&args.file, &hash), as_of, args.dry_run).await?;
    office.store.close().await;
    Ok(status)
}

/// Checks a file whole, and brings in what of it is not in the books.
async fn import(office: &Office, (file, hash): (&Path, &str), as_of: Timestamp, dry_run: bool) -> anyhow::Result<u8> {
    let checked = match look(office, (file, hash), as_of).await? {
        Looked::Fine(checked) => checked,
        Looked::Wrong(problems) => return Ok(refuse(&problems)),
        Looked::Done(at) => {
            println!("{}: was brought in at {at}; nothing changes", file.display());
            return Ok(DONE);
        }
    };
    print_totals(&checked.totals);
    if dry_run {
        println!("Nothing was written.");
        return Ok(DONE);
    }
    if let Some(import) = &checked.begun {
        println!("It goes on behind account {} of {}.", import.up_to, import.accounts);
    }
    let bar = progress_bar(&checked)?;
    let done = bring_in(office, (file, hash), *checked, author(), |up_to| bar.set_position(up_to)).await;
    done.map_err(|error| if error.is::<Contended>() { NotNow(error.to_string()).into() } else { error })?;
    bar.finish_and_clear();
    println!("Brought in.");
    Ok(DONE)
}

fn print_totals(totals: &Totals) {
    let amounts = |sums: &BTreeMap<String, Micros>| match sums.is_empty() {
        true => "nothing".to_owned(),
        false => sums.iter().map(|(code, sum)| format!("{sum} {code}")).collect::<Vec<_>>().join(", "),
    };
    println!("{} accounts, {} services, {} open invoices", totals.accounts, totals.services, totals.invoices);
    println!("wallets come to {}, open invoices to {}", amounts(&totals.wallets), amounts(&totals.open));
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
