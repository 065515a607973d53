//! Runs that an admin asks for: what can be asked, how they are watched, and how one is taken back.

use jobs::Clock;

use crate::support::program::{Daemon, Ended, json_on, run_on, wait_until};

const BAD_INPUT: i32 = 2;
const NOT_NOW: i32 = 4;

struct Host {
    url: String,
    _daemon: Daemon,
    _folder: tempfile::TempDir,
}

impl Host {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        let daemon = Daemon::start(&["--database-url", &url]);
        wait_until("it is ready", || daemon.log().contains(" ready "));
        assert_eq!(run_on(&url, "accounts open ann").status, Some(0));
        assert_eq!(run_on(&url, "accounts open bob").status, Some(0));
        wait_until("its first runs are done", || run_on(&url, "runs watch").out.starts_with("No run is under way."));
        Self { url, _daemon: daemon, _folder: folder }
    }

    fn run(&self, command: &str) -> Ended {
        run_on(&self.url, command)
    }

    fn fails(&self, command: &str, with: i32, told: &str) {
        let Ended { status, out, err } = self.run(command);
        assert_eq!((status, out.as_str()), (Some(with), ""), "{command}\n{err}");
        assert!(err.contains(told), "{command}\n{err}");
    }
}

#[test]
fn what_cannot_be_is_not_asked_for() {
    let host = Host::start();
    let far = "9999-12-31T23:59:59Z";
    for dry in ["", " --dry-run"] {
        host.fails(
            &format!("jobs enqueue verify_books --account bob{dry}"),
            BAD_INPUT,
            "--account bob: verify_books is of all accounts: `bursar verify --account bob` looks at one",
        );
        host.fails(
            &format!("jobs enqueue number_documents --account bob{dry}"),
            BAD_INPUT,
            "--account bob: number_documents numbers those of all accounts; leave it out",
        );
        let ahead = format!("--at {far}: that is more than a year ahead: say a second up to ");
        host.fails(&format!("jobs enqueue bill_instances --at {far}{dry}"), BAD_INPUT, &ahead);
    }
    host.fails("runs list --limit 0", BAD_INPUT, "1..=10000");
    assert_eq!(json_on(&host.url, "runs list --job bill_instances")["runs"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_was_asked_for_by_mistake_is_taken_back() {
    let host = Host::start();
    let at = Clock::system().now().plus_days(300).to_string();
    let later = json_on(&host.url, &format!("jobs enqueue bill_instances --at {at}"))["run"].to_string();
    // Nobody waits for what does not move.
    for watch in ["runs watch".to_owned(), format!("runs watch {later}")] {
        host.fails(&watch, NOT_NOW, &format!("run {later}: it starts at {at}; `bursar runs cancel {later}`"));
    }
    host.fails(&format!("runs cancel {later}"), BAD_INPUT, "--reason");
    let mistake = ["runs", "cancel", &later, "--reason", "a mistake", "--database-url", &host.url];
    assert_eq!(crate::support::program::run(&mistake).status, Some(0));
    let run = json_on(&host.url, &format!("runs show {later}"));
    assert_eq!((&run["state"], &run["cancelled_for"]), (&"cancelled".into(), &"a mistake".into()));
    assert!(run["cancelled_by"].as_str().is_some_and(|by| by.starts_with("cli:")) && run["finished_at"].is_string());
    for told in [host.run(&format!("runs show {later}")), host.run("runs list")] {
        assert!(told.out.contains(": a mistake"), "{}", told.out);
    }
    assert_eq!(host.run(&format!("runs watch {later}")).status, Some(1));
    host.fails(&format!("runs cancel {later} --reason x"), BAD_INPUT, "it is cancelled: only what has not begun");
    assert!(host.run("runs watch").out.starts_with("No run is under way."));

    // A slot's run is never taken back, nor one that is done.
    let slot = json_on(&host.url, "runs list --job bill_instances");
    let slot = slot["runs"].as_array().expect("runs").iter().find(|run| run["slot"].is_string()).expect("a slot");
    host.fails(&format!("runs cancel {} --reason x", slot["run"]), BAD_INPUT, "the schedule opened it");
    let done = json_on(&host.url, "jobs enqueue verify_books")["run"].to_string();
    assert_eq!(host.run(&format!("runs watch {done}")).status, Some(0));
    host.fails(&format!("runs cancel {done} --reason x"), BAD_INPUT, "it is done");

    // What is under way is watched before what is for later; of a paused job nothing moves.
    let soon = Clock::system().now().plus_secs(30).to_string();
    let paused = json_on(&host.url, &format!("jobs enqueue verify_books --at {soon}"))["run"].to_string();
    assert_eq!(host.run("jobs pause verify_books --reason look").status, Some(0));
    host.fails("runs watch", NOT_NOW, &format!("run {paused}: verify_books is paused since "));
    assert_eq!(host.run("verify").status, Some(0));
}
