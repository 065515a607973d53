//! `bursar import`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use jobs::Office;
use rules::{Micros, PriceList, Timestamp, bring_in, due_seconds};
use sha2::{Digest as _, Sha256};
use store::{ArrivingAccount, Import, Store};

use crate::cli::books::{Books, NotNow, author};
use crate::cli::check::refuse;
use crate::cli::{BAD_INPUT, DONE};
use crate::input::{Arrivals, BadInput, Imported, Problems, Totals};

/// Accounts that one transaction brings in: short, so that a daemon beside it hardly waits.
const BATCH: usize = 100;

/// Accounts whose names are looked up at once.
const LOOKED_UP: usize = 500;

/// How often a batch is made anew after price lists came or went.
const ROUNDS_MAX: u32 = 8;

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
    #[arg(long, value_name = "TIME", value_parser = super::prices::time)]
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
    let known = office.store.import(hash).await?;
    if let Some(Import { finished_at: Some(at), .. }) = known {
        println!("{}: was brought in at {at}; nothing changes", file.display());
        return Ok(DONE);
    }
    // What goes on, goes on as of the same second.
    let at = known.as_ref().map_or(as_of, |import| import.at);
    let up_to = known.as_ref().map_or(0, |import| import.up_to);
    let checked = match check(office, file, at, up_to).await? {
        Ok(checked) => checked,
        Err(problems) => {
            refuse(&problems);
            return Ok(BAD_INPUT);
        }
    };
    print_totals(&checked.totals);
    if dry_run {
        println!("Nothing was written.");
        return Ok(DONE);
    }
    let import = match known {
        Some(import) => {
            println!("It goes on behind account {} of {}.", import.up_to, import.accounts);
            import
        }
        None => begin(&office.store, file, hash, at, &checked).await?,
    };
    office.reload().await?;
    write(office, file, &import).await?;
    println!("Brought in.");
    Ok(DONE)
}

fn hash_of(file: &Path) -> io::Result<String> {
    let (mut file, mut hasher, mut bytes) = (File::open(file)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut bytes)? {
            0 => break,
            count => hasher.update(bytes.get(..count).unwrap_or_default()),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

struct Checked {
    totals: Totals,
    plans: PriceList,
    numbers: BTreeMap<String, i64>,
}

/// Reads the file to its end and looks for every name of it in the books; `up_to` accounts are there by this import.
async fn check(office: &Office, file: &Path, at: Timestamp, up_to: u64) -> anyhow::Result<Result<Checked, Problems>> {
    let book = office.store.price_book().await?;
    let mut arrivals = match Arrivals::open(file, book, office.policy.currency, at) {
        Ok(arrivals) => arrivals,
        Err(problems) => return Ok(Err(problems)),
    };
    let (mut names, mut index) = (Names::default(), 0);
    while let Some(imported) = arrivals.next_account() {
        index += 1;
        if index > up_to {
            names.add(&imported);
        }
        if names.accounts.len() >= LOOKED_UP {
            names.look_up(&office.store, &mut arrivals).await?;
        }
    }
    names.look_up(&office.store, &mut arrivals).await?;
    Ok(arrivals.finish().map(|(totals, plans, numbers)| Checked { totals, plans, numbers }))
}

/// Names with the lines on which they stand.
#[derive(Default)]
struct Names {
    accounts: HashMap<String, usize>,
    services: HashMap<String, usize>,
}

impl Names {
    fn add(&mut self, imported: &Imported) {
        self.accounts.insert(imported.arrival.name.clone(), imported.line);
        let services = imported.arrival.services.iter().zip(&imported.service_lines);
        self.services.extend(services.map(|(service, line)| (service.name.clone(), *line)));
    }

    async fn look_up(&mut self, store: &Store, arrivals: &mut Arrivals) -> anyhow::Result<()> {
        let of = |names: &HashMap<String, usize>| names.keys().cloned().collect::<Vec<String>>();
        let (accounts, services) = store.names_taken(&of(&self.accounts), &of(&self.services)).await?;
        for (what, taken, lines) in [("account", accounts, &self.accounts), ("service", services, &self.services)] {
            for name in taken.into_iter().collect::<HashSet<String>>() {
                let line = lines.get(&name).copied().unwrap_or_default();
                arrivals.note(line, "name", format!("{what} `{name}` is in the books already"));
            }
        }
        *self = Self::default();
        Ok(())
    }
}

fn print_totals(totals: &Totals) {
    let amounts = |sums: &BTreeMap<String, Micros>| match sums.is_empty() {
        true => "nothing".to_owned(),
        false => sums.iter().map(|(code, sum)| format!("{sum} {code}")).collect::<Vec<_>>().join(", "),
    };
    println!("{} accounts, {} services, {} open invoices", totals.accounts, totals.services, totals.invoices);
    println!("wallets come to {}, open invoices to {}", amounts(&totals.wallets), amounts(&totals.open));
}

async fn begin(store: &Store, file: &Path, hash: &str, at: Timestamp, checked: &Checked) -> anyhow::Result<Import> {
    let import = Import {
        hash: hash.to_owned(),
        file: file.display().to_string(),
        author: author(),
        at,
        accounts: checked.totals.accounts,
        up_to: 0,
        finished_at: None,
    };
    store.import_begin(&import, &checked.plans, &checked.numbers).await?;
    Ok(import)
}

/// Brings in the accounts behind those that are there.
async fn write(office: &Office, file: &Path, import: &Import) -> anyhow::Result<()> {
    let book = office.store.price_book().await?;
    let mut arrivals = Arrivals::open(file, book, office.policy.currency, import.at)?;
    let bar = progress_bar(import)?;
    for _ in 0..import.up_to {
        arrivals.next_account();
    }
    let mut up_to = import.up_to;
    loop {
        let batch: Vec<Imported> = std::iter::from_fn(|| arrivals.next_account()).take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        write_batch(office, import, up_to, &batch).await?;
        up_to += u64::try_from(batch.len()).unwrap_or_default();
        bar.set_position(up_to);
    }
    bar.finish_and_clear();
    Ok(())
}

async fn write_batch(office: &Office, import: &Import, up_to: u64, batch: &[Imported]) -> anyhow::Result<()> {
    for _ in 0..ROUNDS_MAX {
        let revision = office.revision();
        let arriving = office.with_context(|cx| {
            let arriving = batch.iter().map(|imported| {
                let changes = bring_in(imported.arrival.clone(), cx, import.at)?;
                let due = due_seconds(&changes.account, cx);
                let printed = imported.invoices.iter();
                let printed = printed.map(|one| (one.series.clone(), one.number.clone(), one.total.get())).collect();
                Ok(ArrivingAccount { changes, due, details: imported.details.clone(), printed })
            });
            arriving.collect::<Result<Vec<_>, rules::OutOfRange>>()
        })?;
        if office.store.import_batch(import, up_to, &arriving, revision, office.clock.now()).await? {
            return Ok(());
        }
        let now = office.store.import(&import.hash).await?;
        if now.is_none_or(|now| now.up_to != up_to) {
            break;
        }
        office.reload().await?;
    }
    Err(NotNow("somebody else imports this file, or the price lists keep moving; the same command goes on".to_owned())
        .into())
}

/// On stderr, and only where somebody looks.
fn progress_bar(import: &Import) -> anyhow::Result<ProgressBar> {
    if !io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos} of {len} accounts  {per_sec}  {eta} left")?;
    Ok(ProgressBar::new(import.accounts).with_style(style).with_position(import.up_to))
}
