//! Whether a file can be brought in, before anything of it is written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jobs::{JOBS, Office, Wakes};
use rules::{DocumentPolicy, DueKind, EventKind, Micros, PriceList, Standing, Timestamp, TransferKind, due_seconds};
use store::{GivenUp, Import, Revision, Store};

use super::{Contended, Source, terms};
use crate::input::{Arrivals, BadInput, Imported, Printed, Problems, Read, Totals, add};

/// Accounts whose names are looked up at once.
const LOOKED_UP: usize = 500;

/// What a file turned out to be.
pub enum Looked {
    /// It was brought in whole.
    Done(Import),
    /// Its import was given up; the first account that did not come stands on this line.
    GivenUp {
        import: Import,
        given_up: GivenUp,
        line: usize,
    },
    Wrong(Problems),
    Fine(Box<Checked>),
}

/// A file that can be brought in.
pub struct Checked {
    pub totals: Totals,
    pub at_once: AtOnce,
    /// What of it is in the books, if an import of it was cut off.
    pub begun: Option<Import>,
    pub at: Timestamp,
    /// Of what it was checked with.
    pub(super) revision: Revision,
    pub(super) plans: PriceList,
    pub(super) numbers: BTreeMap<String, i64>,
}

/// What becomes of the accounts when they arrive.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct AtOnce {
    /// What wallets pay of open invoices (rule 6.9), by currency.
    pub paid: BTreeMap<String, Micros>,
    /// Accounts whose suspension is over by that.
    pub restored: u64,
    /// Accounts that are suspended right behind their arrival: an invoice of them is past its grace (rule 6.8).
    pub suspended: u64,
    /// Accounts on which something is due by now.
    pub behind: u64,
    /// Jobs that do it at their next slot alone, which may be a month away; the others look each minute.
    pub slots: BTreeSet<&'static str>,
}

/// Reads a file to its end, as of a second, or as of now. One that goes on, goes on as of the second that it began
/// with.
pub async fn look(office: &Office, source: &Source, as_of: Option<Timestamp>) -> anyhow::Result<Looked> {
    let begun = office.store.import(&source.hash).await?;
    if let Some((import, given_up)) = begun.as_ref().and_then(|import| Some((import, import.given_up.clone()?))) {
        let line = line_behind(office, source, import).await?;
        return Ok(Looked::GivenUp { import: import.clone(), given_up, line });
    }
    if let Some((begun, as_of)) = begun.as_ref().zip(as_of).filter(|(begun, as_of)| begun.at != *as_of) {
        let was = if begun.finished_at.is_some() { "was brought in" } else { "began to be brought in" };
        let message = format!("--as-of {as_of}: this file {was} as of {}: say that, or nothing", begun.at);
        return Err(BadInput(message).into());
    }
    let at = begun.as_ref().map(|import| import.at).or(as_of).unwrap_or(office.clock.now());
    if let Some(done) = begun.as_ref().filter(|import| import.finished_at.is_some()) {
        return Ok(Looked::Done(done.clone()));
    }
    let open_from = office.store.closings().await?.last().map(|closing| closing.month.to);
    if let Some(open_from) = open_from.filter(|open_from| at < *open_from) {
        let message = format!("--as-of {at}: it lies in a month that is closed: say a second from {open_from} on");
        return Err(BadInput(message).into());
    }
    let up_to = begun.as_ref().map_or(0, |import| import.up_to);
    let revision = office.store.revision().await?;
    let (read, at_once) = read(office, source, (at, open_from), up_to).await?;
    // Accounts that somebody else brought in meanwhile are no fault of the file.
    if office.store.import(&source.hash).await?.map_or(0, |import| import.up_to) != up_to {
        return Err(Contended.into());
    }
    Ok(match read {
        Ok(Read { totals, plans, numbers }) => {
            let numbers = numbers.into_iter().map(|(series, (next, _))| (series, next)).collect();
            Looked::Fine(Box::new(Checked { totals, at_once, begun, at, revision, plans, numbers }))
        }
        Err(problems) => Looked::Wrong(problems),
    })
}

/// The line of the first account that is not in the books.
async fn line_behind(office: &Office, source: &Source, import: &Import) -> anyhow::Result<usize> {
    let mut arrivals = Arrivals::reopen(&source.path, terms(office, import.at).await?)?;
    for _ in 0..import.up_to {
        arrivals.next_account();
    }
    Ok(arrivals.next_account().map_or(0, |imported| imported.line))
}

/// Decides on every account of the file, and looks for each name in the books; `up_to` accounts are there by this
/// import.
async fn read(
    office: &Office,
    source: &Source,
    (at, open_from): (Timestamp, Option<Timestamp>),
    up_to: u64,
) -> anyhow::Result<(Result<Read, Problems>, AtOnce)> {
    let (mut at_once, now) = (AtOnce::default(), office.clock.now());
    let mut arrivals = match Arrivals::open(&source.path, terms(office, at).await?) {
        Ok(arrivals) => arrivals,
        Err(problems) => return Ok((Err(problems), at_once)),
    };
    let (mut names, mut ours, mut index) = (Names::default(), Ours::new(), 0);
    while let Some(imported) = arrivals.next_account() {
        index += 1;
        if index > up_to {
            names.add(&imported);
        }
        if names.accounts.len() >= LOOKED_UP {
            names.look_up(&office.store, &mut arrivals).await?;
        }
        note_ours(&mut ours, &office.policy().documents, &imported);
        let line = imported.line;
        if let Err(problem) = at_once.count(imported, &arrivals, (now, open_from)) {
            arrivals.note(line, "", problem);
        }
    }
    names.look_up(&office.store, &mut arrivals).await?;
    if up_to == 0 {
        look_up_series(&office.store, &mut arrivals).await?;
        look_up_ours(&office.store, &ours, &mut arrivals).await?;
    }
    Ok((arrivals.finish(), at_once))
}

/// Of each series that is numbered here, the greatest number that the file's invoices have in it, with the line.
type Ours = BTreeMap<String, (i64, usize)>;

fn note_ours(ours: &mut Ours, documents: &DocumentPolicy, imported: &Imported) {
    for printed in &imported.invoices {
        for series in [&documents.invoice_series, &documents.credit_note_series] {
            if let Some(count) = count_of(series, printed) {
                let greatest = ours.entry(series.clone()).or_insert((count, printed.line));
                *greatest = (*greatest).max((count, printed.line));
            }
        }
    }
}

/// The number that an invoice has in a series of ours: `INV-000042`, or `42` of series `INV`, whoever wrote it with how
/// many zeros and in which case.
fn count_of(series: &str, printed: &Printed) -> Option<i64> {
    let Printed { number, series: of, .. } = printed;
    let behind = number.split_at_checked(series.len()).filter(|(front, _)| front.eq_ignore_ascii_case(series));
    let behind = behind.and_then(|(_, rest)| rest.strip_prefix('-'));
    let digits = behind.or_else(|| of.eq_ignore_ascii_case(series).then_some(number.as_str()))?;
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_whole)
}

/// What was printed elsewhere is not printed here again.
async fn look_up_ours(store: &Store, ours: &Ours, arrivals: &mut Arrivals) -> anyhow::Result<()> {
    for (series, (count, line)) in ours {
        let (first_given, next) = store.series_reach(series).await?;
        let next = arrivals.numbers.get(series).map_or(next, |(next, _)| *next);
        let message = if first_given.is_some_and(|first| *count >= first) {
            format!(
                "{count} is one that series `{series}` gives here, where it counts already: print new ones \
                 under another series in [documents] first"
            )
        } else if *count >= next {
            format!(
                "series `{series}` would give number {count} here again: have a line \
                 {{\"kind\": \"numbers\", \"series\": \"{series}\", \"next\": {}}}",
                count.saturating_add(1)
            )
        } else {
            continue;
        };
        arrivals.note(*line, "number", message);
    }
    Ok(())
}

async fn look_up_series(store: &Store, arrivals: &mut Arrivals) -> anyhow::Result<()> {
    let numbers = arrivals.numbers.iter().map(|(series, (next, _))| (series.clone(), *next)).collect();
    for (series, next) in store.series_that_count(&numbers).await? {
        let Some((wanted, line)) = arrivals.numbers.get(&series).copied() else { continue };
        let message = format!(
            "{wanted}: series `{series}` counts here already and goes on with {next}, so that its numbers have no gap \
             and none comes twice: leave the line out, or say {next}"
        );
        arrivals.note(line, "next", message);
    }
    Ok(())
}

impl AtOnce {
    /// Brings an account in, on paper.
    fn count(
        &mut self,
        imported: Imported,
        arrivals: &Arrivals,
        (now, open_from): (Timestamp, Option<Timestamp>),
    ) -> Result<(), String> {
        let brought = rules::bring_in(imported.arrival, &arrivals.terms.context(), arrivals.terms.at);
        let changes = brought.map_err(|error| error.to_string())?;
        let settled_at = changes.account.settled_at;
        if let Some(open_from) = open_from.filter(|open_from| settled_at < *open_from) {
            return Err(format!(
                "what of it falls due at {} is not after {open_from}, the end of a month that is closed: have it done \
                 in the old books, and say what is due after {open_from}",
                settled_at.plus_secs(1)
            ));
        }
        let code = changes.account.currency.code();
        for paid in changes.transfers.iter().filter(|one| one.kind == TransferKind::InvoicePaidByWallet) {
            add(&mut self.paid, code, paid.amount).map_err(|error| error.to_string())?;
        }
        let restored = changes.events.iter().any(|event| event.kind == EventKind::AccountRestored);
        self.restored += u64::from(restored);
        let due = due_seconds(&changes.account, &arrivals.terms.context());
        let soon = now.max(arrivals.terms.at.plus_secs(1));
        let collects =
            |(kind, at): &(DueKind, Option<Timestamp>)| *kind == DueKind::Collection && at.is_some_and(|at| at <= soon);
        let is_active = changes.account.standing == Standing::Active;
        self.suspended += u64::from(is_active && due.iter().any(collects));
        let due: Vec<DueKind> =
            due.into_iter().filter_map(|(kind, at)| at.filter(|at| *at <= now).map(|_| kind)).collect();
        self.behind += u64::from(!due.is_empty());
        let at_slots = JOBS.iter().filter(|job| job.wakes == Wakes::Calendar);
        self.slots
            .extend(at_slots.filter(|job| job.due_kind.is_some_and(|kind| due.contains(&kind))).map(|job| job.name));
        Ok(())
    }
}

/// Names with the lines on which they stand.
#[derive(Default)]
struct Names {
    accounts: HashMap<String, usize>,
    services: HashMap<String, usize>,
    /// Series and printed number of invoices.
    invoices: HashMap<(String, String), usize>,
    /// Providers and their payment methods.
    methods: HashMap<(String, String), usize>,
}

impl Names {
    fn add(&mut self, imported: &Imported) {
        self.accounts.insert(imported.arrival.name.clone(), imported.line);
        let services = imported.arrival.services.iter().zip(&imported.service_lines);
        self.services.extend(services.map(|(service, line)| (service.name.clone(), *line)));
        let printed =
            imported.invoices.iter().map(|printed| ((printed.series.clone(), printed.number.clone()), printed.line));
        self.invoices.extend(printed);
        let [provider, method] = ["provider", "payment_method"].map(|key| imported.details.get(key).cloned());
        self.methods.extend(provider.zip(method).map(|method| (method, imported.line)));
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
            let message = format!("`{number}` of series `{series}` is in the books already");
            arrivals.note(line, "number", message);
        }
        let methods: Vec<(String, String)> = self.methods.keys().cloned().collect();
        for taken in store.payment_methods_taken(&methods).await? {
            let line = self.methods.get(&taken).copied().unwrap_or_default();
            let (provider, method) = taken;
            let message = format!("`{method}` of {provider} is another account's in the books already");
            arrivals.note(line, "payment_method", message);
        }
        *self = Self::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_ours_is_known_however_it_is_written() {
        let count = |series: &str, number: &str| {
            let (series, number) = (series.to_owned(), number.to_owned());
            count_of("INV", &Printed { line: 1, series, number, total: Micros::ZERO })
        };
        for (series, number) in
            [("", "INV-000042"), ("R", "INV-000042"), ("INV", "000042"), ("inv", "42"), ("", "Inv-42")]
        {
            assert_eq!(count(series, number), Some(42), "{series} {number}");
        }
        for (series, number) in
            [("", "42"), ("R", "42"), ("", "INV42"), ("INV", "42a"), ("INV", "-42"), ("INV", ""), ("", "ß")]
        {
            assert_eq!(count(series, number), None, "{series} {number}");
        }
    }
}
