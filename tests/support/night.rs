//! Books that end just before the last midnight, and what the daemon made of that midnight.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use jobs::Clock;
use rules::{Micros, Period, Timestamp, TransferKind};
use store::{LedgerRow, Opening, Run, RunState, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::books::books;
use crate::support::dice::Dice;
use crate::support::program::{Daemon, run, wait_until};
use crate::support::servers::{Server, copy_database, sql};

const BILLS: &str = "bill_instances";
const VERIFIES: &str = "verify_books";

/// Plans, and what a day of them costs, in micro-units.
const PLANS: [(&str, i64); 2] = [("small", 1_250_000), ("large", 2_400_000)];

/// Books of a host on the evening before the last midnight, to be copied.
pub struct Evening {
    folder: TempDir,
    books: PathBuf,
    pub midnight: Timestamp,
    pub accounts: u64,
    /// What the midnight has to charge, counted without the program.
    charges: Vec<(String, Micros)>,
}

impl Evening {
    /// Each account has so many daily instances, and money for some of them or for all.
    pub fn new(accounts: u64, instances: u64, dice: &mut Dice) -> Self {
        let midnight = Clock::system().now().midnight();
        let (noon, until) = (midnight.plus_secs(-12 * rules::HOUR), midnight.plus_secs(-1));
        let (mut timeline, mut charges) = (Vec::new(), Vec::new());
        for account in 0..accounts {
            let whose = format!("\"at\": \"{noon}\", \"account\": \"a{account}\"");
            // Half a day costs half of it; the rest is enough for the night, or not for each.
            let worth = 2 * instances + dice.below(2 * instances);
            timeline.push(format!("{{{whose}, \"do\": \"open_account\"}}"));
            timeline.push(format!("{{{whose}, \"do\": \"deposit\", \"amount\": \"{worth}.00\"}}"));
            let mut prices = Vec::new();
            for instance in 0..instances {
                let (plan, price) = PLANS[usize::try_from(dice.below(2)).expect("a bit")];
                let service = format!("s{account}-{instance}");
                let what = format!("\"service\": \"{service}\", \"plan\": \"{plan}\"");
                timeline.push(format!("{{{whose}, \"do\": \"create_service\", {what}}}"));
                prices.push((service, price));
            }
            let half_days: i64 = prices.iter().map(|(_, price)| price / 2).sum();
            let mut wallet = i64::try_from(worth).expect("little") * 1_000_000 - half_days;
            for (service, price) in prices {
                // Each in its turn, where the wallet covers it (rule 4.2).
                if wallet >= price {
                    wallet -= price;
                    charges.push((service, Micros::new(price)));
                }
            }
        }
        charges.sort();
        let plans = PLANS.map(|(plan, price)| {
            format!("{{\"id\": \"{plan}\", \"mode\": \"daily\", \"price\": \"{}\"}}", Micros::new(price))
        });
        let mut scenario = format!("{{\"plans\": [{}], ", plans.join(", "));
        write!(scenario, "\"timeline\": [{}], \"until\": \"{until}\"}}", timeline.join(",\n")).expect("a text");
        let folder = tempfile::tempdir().expect("a folder");
        let (file, books) = (folder.path().join("scenario.json"), folder.path().join("evening.db"));
        fs::write(&file, scenario).expect("written");
        let played = run(&["simulate", file.to_str().expect("UTF-8"), "--database-url", &url(&books)]);
        assert_eq!((played.status, played.err.as_str()), (Some(0), ""));
        Self { folder, books, midnight, accounts, charges }
    }

    /// A midnight came since: whoever serves these books now bills it as well.
    pub fn is_over(&self) -> bool {
        Clock::system().now().midnight() != self.midnight
    }

    /// Each period once, none left out, not a cent off.
    pub fn assert_charged(&self, night: &Night, how: &str) {
        let day = Period::new(self.midnight, self.midnight.plus_secs(rules::DAY));
        let is_new = |row: &LedgerRow| row.kind == TransferKind::Period && row.effective_at >= self.midnight;
        let ledger = night.read(async |store| store.ledger(None).await.expect("the ledger"));
        let mut charged: Vec<(String, Micros)> = Vec::new();
        for row in ledger.into_iter().filter(is_new) {
            assert_eq!(row.period, Some(day), "{how}");
            charged.push((row.service.expect("a service"), row.amount));
        }
        charged.sort();
        assert!(charged == self.charges, "{how}: {} charged, {} are due", charged.len(), self.charges.len());
    }

    /// A copy for one night.
    pub fn night(&self, name: &str) -> Night {
        let path = self.folder.path().join(name);
        fs::copy(&self.books, &path).expect("copied");
        Night { url: url(&path), file: Some(path), midnight: self.midnight }
    }

    /// The same evening on a server, to be copied there.
    pub fn on(&self, server: &Server) -> String {
        let template = server.new_database();
        // Books move once.
        let leaving = self.folder.path().join(format!("to-{}.db", server.port));
        fs::copy(&self.books, &leaving).expect("copied");
        let moved = run(&["migrate", "--from", &url(&leaving), "--to", &template]);
        fs::remove_file(&leaving).expect("removed");
        assert_eq!((moved.status, moved.err.as_str().contains("transfers")), (Some(0), true), "{}", moved.err);
        template
    }

    /// A copy of it for one night.
    pub fn night_on(&self, template: &str) -> Night {
        Night { url: copy_database(template), file: None, midnight: self.midnight }
    }
}

/// A copy of the evening's books.
pub struct Night {
    url: String,
    /// None on a server.
    file: Option<PathBuf>,
    midnight: Timestamp,
}

impl Night {
    /// Of an SQLite file.
    pub fn path(&self) -> &Path {
        self.file.as_deref().expect("a file")
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The same night in other books.
    pub fn elsewhere(&self, url: &str) -> Self {
        let file = url.strip_prefix("sqlite:").map(PathBuf::from);
        Self { url: url.to_owned(), file, midnight: self.midnight }
    }

    pub fn serve(&self) -> Daemon {
        Daemon::start(&["--database-url", &self.url()])
    }

    /// How far the midnight's run is.
    pub fn progress(&self) -> Progress {
        self.read(async |store| self.progress_in(store).await)
    }

    /// Waits until it came so far, and answers how far it really is.
    pub fn wait_for(&self, wanted: Progress) -> Progress {
        let (runtime, store) = self.open();
        let mut reached = Progress::At(0);
        wait_until("the midnight came so far", || {
            reached = runtime.block_on(self.progress_in(&store));
            reached >= wanted
        });
        runtime.block_on(store.close());
        reached
    }

    async fn progress_in(&self, store: &Store) -> Progress {
        let runs = store.runs(None, 100).await.expect("runs");
        if let Some(failed) = runs.iter().find(|run| run.state == RunState::Failed) {
            panic!("a run failed: {failed:?}");
        }
        let is_it = |run: &&Run| run.job == BILLS && run.slot == Some(self.midnight);
        let Some(midnight) = runs.iter().find(is_it) else { return Progress::At(0) };
        if midnight.state == RunState::Done && store.runs_unfinished().await.expect("runs").is_empty() {
            return Progress::Done;
        }
        Progress::At(store.shards(midnight.id).await.expect("shards").iter().map(|shard| shard.done).sum())
    }

    /// All that the books say.
    pub fn books(&self) -> Vec<String> {
        self.read(async |store| books(store).await)
    }

    pub fn assert_verified(&self) {
        let verified = run(&["verify", "--database-url", &self.url()]);
        assert_eq!(verified.status, Some(0), "{}{}", verified.out, verified.err);
    }

    /// The daemons verified the books themselves behind the night; where they did not, it is done now.
    pub fn assert_verified_behind(&self) {
        let runs = self.read(async |store| store.runs(None, 100).await.expect("runs"));
        let ended = |job: &str| {
            let of_job = runs.iter().filter(|run| run.job == job && run.state == RunState::Done);
            of_job.filter_map(|run| Some((run.started_at?, run.finished_at?))).max()
        };
        let (billed, verified) = (ended(BILLS).map(|(_, end)| end), ended(VERIFIES).map(|(start, _)| start));
        if billed.is_none() || verified < billed {
            self.assert_verified();
        }
    }

    fn read<T>(&self, ask: impl AsyncFnOnce(&Store) -> T) -> T {
        let (runtime, store) = self.open();
        runtime.block_on(async {
            let answer = ask(&store).await;
            store.close().await;
            answer
        })
    }

    fn open(&self) -> (Runtime, Store) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let store = runtime.block_on(Store::open(&self.url(), Opening::beside())).expect("the books");
        (runtime, store)
    }

    /// Makes room for the next night.
    pub fn remove(self) {
        match self.file {
            Some(file) => fs::remove_file(file).expect("removed"),
            None => {
                let (server, name) = self.url.rsplit_once('/').expect("a database");
                sql(&format!("{server}/postgres"), &format!("drop database {name} with (force)"));
            }
        }
    }
}

/// How many accounts the midnight's run has worked off, or that all runs are done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Progress {
    At(u64),
    Done,
}

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}
