//! Hosts that move here: a file is checked whole, brought in once, and billed from where it stood.

mod beside;
mod billed;
mod checked;
mod cut_off;
mod given_up;

use std::fs;
use std::path::Path;

use crate::support::program::{Ended, run};
use bursar::import::Source;
use jobs::Clock;
use rules::Timestamp;
use serde_json::Value;
use store::{Import, Opening, Store};
use tempfile::TempDir;

const PLANS: &str = r#"[{"id": "dms", "mode": "daily", "price": "2.40"}, {"id": "vps", "mode": "term", "price": "6.00"},
    {"id": "cloud", "mode": "monthly", "price": "90.00"}, {"id": "cloud-h", "mode": "hourly", "price": "0.018"}]"#;

/// Books with price lists and one account, up to right before the last midnight.
struct Books {
    folder: TempDir,
    url: String,
    midnight: Timestamp,
}

impl Books {
    fn new() -> Self {
        let midnight = Clock::system().now().midnight();
        let (noon, until) = (midnight.plus_secs(-12 * rules::HOUR), midnight.plus_secs(-1));
        Self::played(&format!(r#"{{"at": "{noon}", "do": "open_account", "account": "old"}}"#), until)
    }

    /// Since the month before: an account with a server that was invoiced, as `INV-000001`.
    fn of_last_month() -> Self {
        let month = Clock::system().now().month_start();
        let noon = month.plus_secs(-12 * rules::HOUR);
        let timeline = format!(
            r#"{{"at": "{noon}", "do": "open_account", "account": "old"}},
            {{"at": "{noon}", "do": "create_service", "account": "old", "service": "old-cloud", "plan": "cloud"}}"#
        );
        Self::played(&timeline, month)
    }

    fn played(timeline: &str, until: Timestamp) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        let midnight = Clock::system().now().midnight();
        let scenario = format!(r#"{{"plans": {PLANS}, "timeline": [{timeline}], "until": "{until}"}}"#);
        let file = folder.path().join("scenario.json");
        fs::write(&file, scenario).expect("written");
        let played = run(&["simulate", text(&file), "--database-url", &url]);
        assert_eq!((played.status, played.err.as_str()), (Some(0), ""));
        Self { folder, url, midnight }
    }

    fn file(&self, name: &str, lines: &[String]) -> String {
        let file = self.folder.path().join(name);
        fs::write(&file, lines.join("\n") + "\n").expect("written");
        text(&file).to_owned()
    }

    fn import(&self, arguments: &[&str]) -> Ended {
        run(&[&["import"][..], arguments, &["--database-url", &self.url]].concat())
    }

    /// An import of a file of two accounts that was cut off before the first of them came.
    fn begin(&self, file: &str, at: Timestamp) {
        let hash = Source::of(Path::new(file)).expect("the file").hash;
        let (file, author) = (file.to_owned(), "test".to_owned());
        let import = Import { hash, file, author, at, accounts: 2, up_to: 0, finished_at: None, given_up: None };
        let begun = self.with_store(async |store| {
            let revision = store.revision().await.expect("one");
            store.import_begin(&import, &Default::default(), &Default::default(), revision).await.expect("asked")
        });
        assert!(begun);
    }

    /// Does something with the store itself.
    fn with_store<T>(&self, work: impl AsyncFnOnce(&Store) -> T) -> T {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let store = Store::open(&self.url, Opening::beside()).await.expect("the books");
            let done = work(&store).await;
            store.close().await;
            done
        })
    }

    /// The import is refused, and nothing is in the books that was not there.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], status: i32, told: &[&str]) {
        let accounts = || {
            let listed = run(&["accounts", "list", "--format", "json", "--database-url", &self.url]).out;
            let listed: Value = serde_json::from_str(&listed).expect("JSON");
            listed.to_string().matches("\"name\"").count()
        };
        let before = accounts();
        let refused = self.import(arguments);
        assert_eq!((refused.status, refused.out.as_str()), (Some(status), ""), "{refused:?}");
        for told in told {
            assert!(refused.err.contains(told), "{told}\n{}", refused.err);
        }
        assert_eq!(accounts(), before);
    }

    #[track_caller]
    fn verified(&self) {
        let verified = run(&["verify", "--database-url", &self.url]);
        assert_eq!(verified.status, Some(0), "{verified:?}");
    }

    /// Accounts with daily instances, paid until the last midnight.
    fn many(&self, accounts: usize, services: usize) -> Vec<String> {
        let (midnight, opened) = (self.midnight, self.midnight.plus_secs(-100 * rules::DAY));
        let mut lines = Vec::new();
        for account in 0..accounts {
            let of = format!(r#""account": "a{account}""#);
            lines.push(format!(r#"{{"kind": "account", "name": "a{account}", "opened_at": "{opened}"}}"#));
            lines.push(format!(r#"{{"kind": "wallet", {of}, "balance": "100.00"}}"#));
            lines.extend((0..services).map(|service| {
                format!(
                    r#"{{"kind": "service", {of}, "name": "a{account}-{service}", "plan": "dms",
                    "created_at": "{opened}", "paid_until": "{midnight}"}}"#
                )
                .replace('\n', " ")
            }));
        }
        let (services, wallets) = (accounts * services, accounts * 100);
        lines.push(format!(
            r#"{{"kind": "totals", "accounts": {accounts}, "services": {services}, "wallets": {{"USD": "{wallets}"}}}}"#
        ));
        lines
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// One account of each kind, as in the documents' example, as of the midnight.
fn moved(at: Timestamp) -> Vec<String> {
    let opened = at.plus_secs(-400 * rules::DAY);
    let (tomorrow, month) = (at.plus_days(1), at.next_month_start());
    let anchor = at.plus_secs(-10 * rules::DAY);
    let term_end = anchor.plus_months(1);
    let issued = at.plus_secs(-3 * rules::DAY);
    let line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    vec![
        line(r#"{"kind": "plan", "plan": {"id": "own", "mode": "daily", "price": "1.80"}}"#.to_owned()),
        line(r#"{"kind": "numbers", "series": "INV", "next": 118}"#.to_owned()),
        line(format!(r#"{{"kind": "account", "name": "ann", "opened_at": "{opened}", "email": "ann@example.org"}}"#)),
        line(r#"{"kind": "wallet", "account": "ann", "balance": "36.00"}"#.to_owned()),
        line(format!(
            r#"{{"kind": "service", "account": "ann", "name": "ann-own", "plan": "own", "created_at": "{opened}",
            "paid_until": "{tomorrow}"}}"#
        )),
        line(format!(
            r#"{{"kind": "service", "account": "ann", "name": "ann-vps", "plan": "vps", "created_at": "{anchor}",
            "paid_until": "{term_end}"}}"#
        )),
        line(format!(
            r#"{{"kind": "service", "account": "ann", "name": "ann-cloud", "plan": "cloud", "created_at": "{opened}",
            "paid_until": "{month}"}}"#
        )),
        line(format!(
            r#"{{"kind": "invoice", "account": "ann", "series": "R", "number": "R-116", "issued_at": "{issued}",
            "total": "90.00", "open": "40.00"}}"#
        )),
        line(format!(r#"{{"kind": "account", "name": "bob", "opened_at": "{opened}", "suspended_for": "unpaid"}}"#)),
        line(r#"{"kind": "wallet", "account": "bob", "balance": "-5.00"}"#.to_owned()),
        line(format!(
            r#"{{"kind": "service", "account": "bob", "name": "bob-h", "plan": "cloud-h", "created_at": "{opened}",
            "paid_until": "{at}", "stopped_for": "unpaid"}}"#
        )),
        line(format!(
            r#"{{"kind": "invoice", "account": "bob", "series": "R", "number": "R-98", "issued_at": "{opened}",
            "total": "7.00", "open": "7.00", "overdue": true}}"#
        )),
        line(
            r#"{"kind": "totals", "accounts": 2, "services": 4, "invoices": 2, "wallets": {"USD": "31.00"},
            "open": {"USD": "47.00"}}"#
                .to_owned(),
        ),
    ]
}

/// The same of other customers.
fn renamed(lines: &[String]) -> Vec<String> {
    let other = |line: &String| line.replace("ann", "eve").replace("bob", "dan").replace("\"own\"", "\"other\"");
    lines.iter().map(other).collect()
}
