//! An admin's commands beside a running daemon: what they bring about, what they refuse and why, and how they end.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::{Daemon, Ended, repository, run, wait_until};

/// A host with the three example price lists, and its daemon.
struct Host {
    _daemon: Daemon,
    config: String,
    _folder: TempDir,
}

impl Host {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = configuration(folder.path());
        let daemon = Daemon::start(&["--config", &config]);
        wait_until("it is ready", || daemon.log().contains("ready"));
        Self { _daemon: daemon, config, _folder: folder }
    }

    fn run(&self, command: &str) -> Ended {
        let words: Vec<&str> = command.split_whitespace().collect();
        run(&[&words[..], &["--config", &self.config]].concat())
    }

    fn done(&self, command: &str) -> String {
        let Ended { status, out, err } = self.run(command);
        assert_eq!((status, err.as_str()), (Some(0), ""), "{command}\n{out}");
        out
    }

    fn json(&self, command: &str) -> Value {
        serde_json::from_str(&self.done(&format!("{command} --format json"))).expect(command)
    }

    /// Nothing is printed but why not.
    fn fails(&self, command: &str, with: i32, told: &str) {
        let Ended { status, out, err } = self.run(command);
        assert_eq!((status, out.as_str()), (Some(with), ""), "{command}\n{err}");
        assert!(err.contains(told), "{command}\n{err}");
    }

    fn wallet(&self, account: &str) -> String {
        self.json(&format!("accounts show {account}"))["account"]["wallet"].as_str().expect("a wallet").to_owned()
    }
}

fn configuration(folder: &Path) -> String {
    let prices = repository().join("config/prices");
    let lists: Vec<_> = ["device-management.toml", "vps.toml", "cloud.toml"].map(|list| prices.join(list)).into();
    let config = folder.join("bursar.toml");
    fs::write(&config, format!("database = \"sqlite:books.db\"\n[prices]\nfiles = {lists:?}\n")).expect("written");
    config.to_str().expect("UTF-8").to_owned()
}

fn kinds<'a>(brought: &'a Value, what: &str) -> Vec<&'a str> {
    brought[what].as_array().expect("a list").iter().map(|row| row["kind"].as_str().expect("a kind")).collect()
}

const REFUSED: i32 = 3;
const BAD_INPUT: i32 = 2;
const NOT_NOW: i32 = 4;

#[test]
fn accounts_and_their_money() {
    let host = Host::start();
    let opened = host.json("accounts open ann");
    assert_eq!((&opened["account"]["state"], &opened["account"]["currency"]), (&"active".into(), &"USD".into()));
    host.done("accounts open jin --currency JPY --trial --resume-on-deposit");
    host.fails("accounts open ann", BAD_INPUT, "the account name `ann` is taken");
    host.fails("accounts open -x", BAD_INPUT, "");
    host.fails("accounts open bob --currency XXX", BAD_INPUT, "ISO 4217");
    host.fails("accounts show nobody", BAD_INPUT, "there is no such account");

    // A reference stands for one payment.
    let first = host.json("accounts deposit ann 50.00 --reference bank-1");
    assert_eq!((kinds(&first, "entries"), &first["known_already"]), (vec!["deposit"], &false.into()));
    let again = host.json("accounts deposit ann 50.00 --reference bank-1");
    assert_eq!((kinds(&again, "entries"), &again["known_already"]), (vec![], &true.into()));
    assert!(host.done("accounts deposit ann 50.00 --reference bank-1").contains("is booked once"));
    assert_eq!(host.wallet("ann"), "50.000000");
    host.fails("accounts deposit ann 51.00 --reference bank-1", BAD_INPUT, "it stands for 50.00 USD of account `ann`");
    host.fails("accounts deposit jin 50 --reference bank-1", BAD_INPUT, "another payment needs another reference");
    host.done("accounts deposit jin 700 --reference bank-7");
    host.fails("accounts deposit ann 7 --reference bank-7", BAD_INPUT, "it stands for 700 JPY of account `jin`");
    host.fails("accounts deposit ann 1.005 --reference bank-2", BAD_INPUT, "USD has 2 decimals");
    host.fails("accounts deposit jin 1.5 --reference bank-2", BAD_INPUT, "JPY has 0 decimals");
    host.fails("accounts deposit ann 0 --reference bank-2", BAD_INPUT, "above zero");
    // No minimum applies to what came.
    host.done("accounts deposit ann 0.01 --reference bank-2");

    let charged = host.json("accounts adjust ann -5.5 --reason reinstalled");
    let entry = &charged["entries"][0];
    assert_eq!((&entry["kind"], &entry["wallet_amount"]), (&"charge".into(), &"-5.500000".into()));
    assert!(entry["author"].as_str().expect("an author").starts_with("cli:"));
    assert_eq!(entry["reason"], "reinstalled");
    host.done("accounts adjust ann 1 --reason thanks");
    host.fails("accounts adjust ann -99 --reason x", REFUSED, "it needs 99.00 USD and the wallet has 45.51 USD");
    assert_eq!(host.wallet("ann"), "45.510000");

    assert_eq!(kinds(&host.json("accounts suspend ann --reason fraud"), "events"), ["account.suspended"]);
    host.fails("accounts suspend ann", REFUSED, "is suspended for fraud already");
    let suspended = host.json("accounts list --state suspended");
    assert_eq!((&suspended["accounts"][0]["account"], &suspended["next"]), (&"ann".into(), &Value::Null));
    host.done("accounts restore ann");
    host.fails("accounts restore ann", REFUSED, "there is nothing to restore");
    let page = host.json("accounts list --limit 1");
    assert_eq!((&page["accounts"][0]["account"], &page["next"]), (&"ann".into(), &"ann".into()));
    assert!(host.done("accounts list --limit 1").contains("--after ann"));
    assert_eq!(host.json("accounts list --after ann")["accounts"][0]["account"], "jin");

    host.fails("accounts card save", NOT_NOW, "no card can be saved until payment providers arrive");
    assert!(host.done("accounts --help").contains("No card can be saved yet"));

    host.fails("accounts close ann", REFUSED, "needs_confirmation: the wallet still has 45.51 USD");
    let closed = host.json("accounts close ann --rest refund");
    assert_eq!(kinds(&closed, "entries"), ["refund_approved", "refund_sent"]);
    host.fails("accounts deposit ann 5 --reference bank-3", REFUSED, "is closed");
    host.fails("accounts adjust ann 5 --reason x", REFUSED, "is closed");

    let statement = host.json("statement ann");
    let balances: Vec<&str> =
        statement["entries"].as_array().expect("entries").iter().filter_map(|row| row["balance"].as_str()).collect();
    assert_eq!(balances, ["50.000000", "50.010000", "44.510000", "45.510000", "0.000000"]);
    assert_eq!(
        (&statement["opening_balance"], &statement["closing_balance"]),
        (&"0.000000".into(), &"0.000000".into())
    );
    host.fails("statement ann --from 2026-02-01 --to 2026-01-01", BAD_INPUT, "is not after");
    assert_eq!(host.json("statement ann --to 2001-01-01")["entries"], Value::Array(Vec::new()));
    assert_eq!(host.run("verify").status, Some(0));
}

#[test]
fn services_and_what_they_cost() {
    let host = Host::start();
    for open in ["accounts open ann", "accounts deposit ann 20.00 --reference r1", "accounts open tia --trial"] {
        host.done(open);
    }
    host.fails("services create ann vps-1 --plan vps-x", REFUSED, "has a plan `vps-x` for accounts in USD");
    host.fails("services create ann vps-1 --plan vps-s-tokyo", REFUSED, "for accounts in USD");
    host.fails("services create ann vps-1 --plan vps-s --option x", REFUSED, "no option `x`; it has backup, panel");
    host.fails("services create ann vps-1 --plan vps-s --quantity cpu=1", REFUSED, "disk_gb, ipv4, ram_gb");
    host.fails("services create ann vps-1 --plan vps-s --quantity cpu", BAD_INPUT, "like cpu=4");
    host.fails("services create nobody vps-1 --plan vps-s", BAD_INPUT, "there is no such account");
    host.fails(
        "services create ann vps-1 --plan vps-l --option panel",
        REFUSED,
        "insufficient_funds: it needs 21.00 USD and the wallet has 20.00 USD: deposit 1.00 USD or more",
    );

    // A preview decides the same and writes nothing.
    let create = "services create ann vps-1 --plan vps-s --quantity disk_gb=60";
    let preview = host.json(&format!("{create} --preview"));
    assert_eq!((&preview["preview"], &preview["entries"][0]["amount"]), (&true.into(), &"8.000000".into()));
    assert_eq!(preview["account"]["wallet"], "12.000000");
    host.fails("services show vps-1", BAD_INPUT, "there is no such service");
    assert_eq!(host.wallet("ann"), "20.000000");
    let created = host.json(create);
    assert_eq!((kinds(&created, "entries"), kinds(&created, "events")), (vec!["period"], vec!["service.created"]));
    assert_eq!((&created["service"]["state"], &created["account"]["wallet"]), (&"active".into(), &"12.000000".into()));
    host.fails(create, BAD_INPUT, "the service name `vps-1` is taken");
    host.fails(&format!("{create} --preview"), BAD_INPUT, "the service name `vps-1` is taken");

    host.fails("services change vps-1", BAD_INPUT, "nothing to change");
    host.fails("services change vps-1 --quantity disk_gb=40", REFUSED, "(disk_gb from 60 to 40)");
    host.fails("services change vps-1 --quantity disk_gb=40", REFUSED, "--confirm-data-loss");
    host.fails("services change vps-1 --plan acs-small", REFUSED, "can only become another term plan");
    host.fails("services change vps-1 --quantity disk_gb=900", REFUSED, "and the wallet has 12.00 USD");
    let change = "services change vps-1 --quantity disk_gb=100";
    assert_eq!(kinds(&host.json(&format!("{change} --preview")), "entries"), ["upgrade"]);
    assert_eq!(host.json("services show vps-1")["service"]["quantities"]["disk_gb"], "60.000000");
    assert_eq!(host.json(change)["service"]["quantities"]["disk_gb"], "100.000000");
    host.done("services change vps-1 --option backup");
    assert_eq!(kinds(&host.json("services change vps-1 --no-options"), "entries"), ["downgrade"]);

    host.fails("services extend vps-1", REFUSED, "is active: only a suspended service can be extended");
    host.fails("services removed vps-1", REFUSED, "only what is queued for removal");
    host.fails("services enable vps-1", REFUSED, "only daily instances are enabled");
    host.fails("services uncancel vps-1", REFUSED, "only an active service that is cancelled");
    assert_eq!(host.json("services cancel vps-1 --at-period-end")["service"]["ends_with_period"], true);
    assert_eq!(host.json("services uncancel vps-1")["service"]["ends_with_period"], false);

    host.done("services create ann web-1 --plan acs-bench");
    host.fails("services enable web-1", REFUSED, "is enabled: only a disabled instance");
    host.done("services disable web-1");
    host.done("services enable web-1 --preview");
    host.done("services enable web-1");
    host.done("services create ann cloud-1 --plan cloud-h");
    host.done("services usage cloud-1 traffic_gb 12.5");
    host.fails("services usage cloud-1 traffic_gb -5", BAD_INPUT, "a quantity is a decimal like 20 or 0.5");
    host.fails("services usage cloud-1 disk_gb 1", REFUSED, "no metered component of plan `cloud-h`");
    host.fails("services cancel cloud-1 --at-period-end", REFUSED, "leave out --at-period-end");
    host.fails("services create tia big --plan cloud-gpu-h", REFUSED, "payment_failed: in a trial");
    host.fails("accounts close ann", REFUSED, "it still has cloud-1, vps-1, web-1");

    let names = |list: &Value| -> Vec<String> {
        let rows = list["services"].as_array().expect("a list").iter();
        rows.map(|row| row["service"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&host.json("services list --account ann")), ["cloud-1", "vps-1", "web-1"]);
    assert_eq!(names(&host.json("services list --mode term --state active")), ["vps-1"]);
    assert_eq!(names(&host.json("services list --account tia")), Vec::<String>::new());
    let page = host.json("services list --limit 2");
    assert_eq!((names(&page), &page["next"]), (vec!["cloud-1".to_owned(), "vps-1".to_owned()], &"vps-1".into()));
    assert_eq!(names(&host.json("services list --after vps-1")), ["web-1"]);

    host.done("accounts suspend ann");
    host.fails("services extend vps-1", REFUSED, "is suspended for admin: `bursar accounts restore ann` first");
    host.done("accounts restore ann");
    assert_eq!(host.json("services cancel vps-1")["service"]["state"], "cancelled");
    host.fails("services cancel vps-1", REFUSED, "is cancelled: what has ended cannot be cancelled");
    host.fails("services cancel nothing", BAD_INPUT, "there is no such service");
    assert_eq!(host.run("verify").status, Some(0));
}

#[test]
fn without_a_daemon_nothing_is_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("books.db").display());
    let scenario = repository().join("tests/scenarios/quarter.json");
    let played = run(&["simulate", scenario.to_str().expect("UTF-8"), "--database-url", &url]);
    assert_eq!(played.status, Some(0), "{}", played.err);
    let before = fs::read(&url["sqlite:".len()..]).expect("the books");
    for command in [
        "accounts open ann",
        "accounts deposit dora 5 --reference r1",
        "accounts adjust dora 5 --reason x",
        "accounts suspend dora",
        "services disable dms1",
        "services create dora new-1 --plan dms",
    ] {
        let words: Vec<&str> = command.split_whitespace().collect();
        let Ended { status, out, err } = run(&[&words[..], &["--database-url", &url]].concat());
        assert_eq!((status, out.as_str()), (Some(NOT_NOW), ""), "{command}: {err}");
        assert!(err.contains("no daemon has been alive on these books"), "{command}: {err}");
    }
    assert_eq!(fs::read(&url["sqlite:".len()..]).expect("the books"), before);
    for command in ["accounts show dora", "services list", "invoices list", "statement dora"] {
        let words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(run(&[&words[..], &["--database-url", &url]].concat()).status, Some(0), "{command}");
    }
}

/// Whatever file a command is given, or none: the rules' numbers are those of the daemon.
#[test]
fn commands_go_by_the_daemons_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = configuration(folder.path());
    let billing =
        fs::read_to_string(&config).expect("the file") + "[billing]\ncurrency = \"EUR\"\nretention_days = 20\n";
    let other = folder.path().join("other.toml");
    fs::copy(&config, &other).expect("copied");
    fs::write(&config, billing).expect("written");
    let daemon = Daemon::start(&["--config", &config]);
    wait_until("it is ready", || daemon.log().contains("ready"));
    let url = format!("sqlite:{}", folder.path().join("books.db").display());
    let other = other.to_str().expect("UTF-8");
    for (place, name) in
        [(["--database-url", &url], "ann"), (["--config", other], "bob"), (["--config", &config], "cid")]
    {
        let opened = run(&[&["accounts", "open", name, "--format", "json"][..], &place].concat());
        let opened: Value = serde_json::from_str(&opened.out).expect("JSON");
        assert_eq!(opened["account"]["currency"], "EUR", "{place:?}");
    }
    let asked = |place: &[&str]| run(&[&["doctor"][..], place].concat()).out;
    assert!(asked(&["--config", other]).contains("is not as the daemon started with"));
    for place in [&["--config", config.as_str()], &["--database-url", url.as_str()]] {
        let told = asked(place);
        assert!(!told.contains("is not as the daemon started with"), "{told}");
    }
}

#[test]
fn who_the_customer_is() {
    let host = Host::start();
    host.done("accounts open ann");
    assert_eq!(host.json("accounts show ann")["details"]["email"], Value::Null);
    let known =
        host.json("accounts details ann --email billing@ann.example --company Ann --tax-id CHE-1 --language de");
    assert_eq!((&known["details"]["company"], &known["details"]["name"]), (&"Ann".into(), &Value::Null));
    let taken = run(&["accounts", "details", "ann", "--tax-id", "", "--name", "Ann A.", "--config", &host.config]);
    assert_eq!(taken.status, Some(0), "{}", taken.err);
    let shown = host.done("accounts show ann");
    for line in ["email: billing@ann.example", "name: Ann A.", "company: Ann", "language: de"] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    assert_eq!(host.json("accounts show ann")["details"]["tax_id"], Value::Null);
    host.fails("accounts details ann", BAD_INPUT, "nothing to correct: give at least one of --email");
    host.fails("accounts details eve --name Eve", BAD_INPUT, "there is no such account");
    host.fails("accounts details ann --email nobody", BAD_INPUT, "--email \"nobody\": an e-mail address is like");
    host.fails("accounts details ann --language german_language", BAD_INPUT, "a language is a tag like de");
    assert_eq!(host.run("verify").status, Some(0));
}

#[test]
fn what_was_refused_can_be_asked_about() {
    let host = Host::start();
    host.done("accounts open ann");
    host.done("accounts deposit ann 1.00 --reference r1");
    host.fails("services create ann vps-1 --plan vps-s --preview", REFUSED, "insufficient_funds");
    assert_eq!(host.json("accounts show ann")["refusals"], Value::Array(Vec::new()), "a preview asks for nothing");
    host.fails("services create ann vps-1 --plan vps-s", REFUSED, "deposit 5.00 USD or more");
    host.fails("accounts restore ann", REFUSED, "there is nothing to restore");
    let shown = host.json("accounts show ann");
    let refused: Vec<_> = shown["refusals"].as_array().expect("a list").iter().map(|row| &row["ref"]).collect();
    assert_eq!(refused, ["ann/r1", "ann/r0"]);
    let row = &shown["refusals"][1];
    assert_eq!((&row["action"], &row["service"]), (&"create_service".into(), &"vps-1".into()));
    assert!(host.done("accounts show ann").contains("(insufficient_funds); why: bursar explain ann/r0"));
    let why = host.done("explain ann/r0");
    for told in [
        "asked for create_service of vps-1, which was refused (insufficient_funds): it needs 6.00 USD",
        "Account ann was active then, its wallet had 1.00 USD",
    ] {
        assert!(why.contains(told), "{why}");
    }
    host.fails("explain ann/r9", BAD_INPUT, "there is none");

    // What can be deposited has whole minor units.
    host.fails("accounts adjust ann -1.001667 --reason x", REFUSED, "deposit 0.01 USD or more");

    // An event is not said to have booked what another one of its second did.
    host.done("accounts deposit ann 50.00 --reference r2");
    host.done("services create ann web-1 --plan acs-small");
    host.done("services disable web-1");
    let events = host.json("services show web-1");
    let event = |kind: &str| {
        let of_kind = events["events"].as_array().expect("events").iter().find(|event| event["kind"] == kind);
        of_kind.expect(kind)["ref"].as_str().expect("a reference").to_owned()
    };
    let related = |event: &str| host.json(&format!("explain {event}"))["related"].as_array().expect("a list").len();
    assert_eq!((related(&event("service.created")), related(&event("service.disabled"))), (1, 0));
}

#[test]
fn reasons_are_one_line_and_a_price_list_is_checked_for_machines() {
    let host = Host::start();
    for command in [&["jobs", "pause", "--all", "--reason"][..], &["prices", "withdraw", "1", "--reason"]] {
        let refused = run(&[command, &["two\nlines", "--config", &host.config]].concat());
        assert_eq!(refused.status, Some(BAD_INPUT), "{command:?}");
        assert!(refused.err.contains("it is one line of at most 500 letters"), "{}", refused.err);
    }
    let list = repository().join("config/prices/vps.toml").display().to_string();
    let checked = run(&["prices", "check", &list, "--format", "json"]);
    let checked: Value = serde_json::from_str(&checked.out).expect("JSON");
    assert_eq!((&checked["lists"][0]["file"], checked["lists"].as_array().map(Vec::len)), (&list.into(), Some(1)));
    let missing = run(&["prices", "check", "none.toml", "--format", "json"]);
    let missing: Value = serde_json::from_str(&missing.err).expect("JSON");
    assert_eq!(missing["error"]["problems"][0]["file"], "none.toml");
}
