//! Whether a file can be brought in, before anything of it is written.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use jobs::Office;
use rules::{PriceList, Timestamp};
use store::{Import, Store};

use crate::input::{Arrivals, Imported, Problems, Totals};

/// Accounts whose names are looked up at once.
const LOOKED_UP: usize = 500;

/// What a file turned out to be.
pub enum Looked {
    /// It was brought in whole, at this second.
    Done(Timestamp),
    Wrong(Problems),
    Fine(Box<Checked>),
}

/// A file that can be brought in.
pub struct Checked {
    pub totals: Totals,
    /// What of it is in the books, if an import of it was cut off.
    pub begun: Option<Import>,
    pub(super) at: Timestamp,
    pub(super) plans: PriceList,
    pub(super) numbers: BTreeMap<String, i64>,
}

/// Reads a file to its end; `hash` is its own. One that goes on, goes on as of the same second.
pub async fn look(office: &Office, (file, hash): (&Path, &str), as_of: Timestamp) -> anyhow::Result<Looked> {
    let begun = office.store.import(hash).await?;
    if let Some(Import { finished_at: Some(at), .. }) = begun {
        return Ok(Looked::Done(at));
    }
    let at = begun.as_ref().map_or(as_of, |import| import.at);
    let up_to = begun.as_ref().map_or(0, |import| import.up_to);
    Ok(match read(office, file, at, up_to).await? {
        Ok((totals, plans, numbers)) => Looked::Fine(Box::new(Checked { totals, begun, at, plans, numbers })),
        Err(problems) => Looked::Wrong(problems),
    })
}

type Read = (Totals, PriceList, BTreeMap<String, i64>);

/// Looks for every name of the file in the books; `up_to` accounts are there by this import.
async fn read(office: &Office, file: &Path, at: Timestamp, up_to: u64) -> anyhow::Result<Result<Read, Problems>> {
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
    Ok(arrivals.finish())
}

/// Names with the lines on which they stand.
#[derive(Default)]
struct Names {
    accounts: HashMap<String, usize>,
    services: HashMap<String, usize>,
    /// Series and printed number of invoices, with the line of their account.
    invoices: HashMap<(String, String), usize>,
}

impl Names {
    fn add(&mut self, imported: &Imported) {
        self.accounts.insert(imported.arrival.name.clone(), imported.line);
        let services = imported.arrival.services.iter().zip(&imported.service_lines);
        self.services.extend(services.map(|(service, line)| (service.name.clone(), *line)));
        let printed = imported.invoices.iter().map(|printed| (printed.series.clone(), printed.number.clone()));
        self.invoices.extend(printed.map(|printed| (printed, imported.line)));
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
        let printed: Vec<(String, String)> = self.invoices.keys().cloned().collect();
        for taken in store.printed_taken(&printed).await? {
            let line = self.invoices.get(&taken).copied().unwrap_or_default();
            let (series, number) = taken;
            let message =
                format!("an invoice of it has number `{number}` of series `{series}`, which is in the books already");
            arrivals.note(line, "number", message);
        }
        *self = Self::default();
        Ok(())
    }
}
