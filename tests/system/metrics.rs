//! What Prometheus is told: true as work is done, also when the database is gone, and for a bounded price.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use jobs::{Clock, Stopwatch};
use rules::AccountId;
use store::{NewRun, Opening, Run, RunEnd, RunState, Store};
use tempfile::TempDir;

use crate::support::http::Api;
use crate::support::program::{Daemon, Ended, bursar, json_on, repository, run, run_on, wait_until};
use crate::support::prometheus::{Scrape, address, promtool};
use crate::support::servers::{Server, new_database};

/// What was read of the books is told for so long.
const KEPT: Duration = Duration::from_secs(5);

/// A daemon that tells how it does.
struct Host {
    _folder: TempDir,
    url: String,
    daemon: Daemon,
    metrics: SocketAddr,
    api: Api,
}

impl Host {
    fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        Self::on(folder, url, "")
    }

    fn on_postgres() -> Self {
        Self::on(tempfile::tempdir().expect("a folder"), new_database(), "")
    }

    fn on(folder: TempDir, url: String, more: &str) -> Self {
        let prices = repository().join("config/prices/device-management.toml");
        let config = folder.path().join("bursar.toml");
        let text = format!("metrics_listen = \"127.0.0.1:0\"\n[prices]\nfiles = [{prices:?}]\n{more}");
        fs::write(&config, text).expect("written");
        let config = config.to_str().expect("UTF-8");
        let daemon = Daemon::start(&["--config", config, "--database-url", &url]);
        let metrics = address(&daemon);
        wait_until("it is ready", || Scrape::of(metrics).value("bursar_ready") == Some(1));
        let made = json_on(&url, "keys create admin --scope admin");
        let key = made["secret"].as_str().map(str::to_owned);
        let api = Api { address: daemon.address, key, from: None };
        wait_until("its first runs are done", || run_on(&url, "runs watch").out.starts_with("No run is under way."));
        Self { _folder: folder, url, daemon, metrics, api }
    }

    fn scrape(&self) -> Scrape {
        Scrape::of(self.metrics)
    }

    /// Waits until this is told.
    fn told(&self, series: &str, value: Option<i64>) {
        wait_until(&format!("{series} is {value:?}"), || self.scrape().value(series) == value);
    }

    /// The books as the store changes them.
    fn books<T>(&self, ask: impl AsyncFnOnce(&Store) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let store = Store::open(&self.url, Opening::beside()).await.expect("the books");
            let answer = ask(&store).await;
            store.close().await;
            answer
        })
    }
}

async fn opened(store: &Store, job: &str, held_for: Option<&str>) -> Run {
    let (account, now) = (AccountId(1), Clock::system().now());
    let new = NewRun {
        job,
        due_kind: None,
        slot: None,
        asked_by: "test",
        // Nobody begins with it by himself.
        starts_at: now.plus_days(1),
        retry_of: None,
        one_at_a_time: false,
        covered: &[],
        preview: None,
        held_for,
        shards: &[(account, account)],
        total: 1,
        now,
    };
    store.run_open(&new).await.expect("asked").expect("a run")
}

#[test]
fn values_change_as_work_is_done_on_sqlite() {
    changes_as_work_is_done(&Host::on_sqlite());
}

#[test]
fn values_change_as_work_is_done_on_postgres() {
    changes_as_work_is_done(&Host::on_postgres());
}

fn changes_as_work_is_done(host: &Host) {
    const MOVED: &str = "bursar_money_moved_micros_total";
    let verified = "bursar_job_last_success_timestamp_seconds{job_name=\"verify_books\"}";
    wait_until("its first runs are told", || host.scrape().value(verified).is_some());
    let first = host.scrape();
    let checked = promtool(&["check", "metrics"], &first.text);
    assert_eq!((checked.status, checked.err.as_str(), checked.out.as_str()), (Some(0), "", ""), "{}", first.text);
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(first.text.contains(&version) && first.text.contains("role=\"all\"} 1"), "{}", first.text);
    for (series, value) in [
        ("bursar_database_up", 1),
        ("bursar_books_read", 1),
        ("bursar_queue_up", 1),
        ("bursar_clock_in_doubt", 0),
        ("bursar_accounts_due{kind=\"term\"}", 0),
        ("bursar_accounts_parked", 0),
        ("bursar_runs_held{job_name=\"bill_instances\"}", 0),
        ("bursar_work_failures_total{job_name=\"verify_books\"}", 0),
    ] {
        assert_eq!(first.value(series), Some(value), "{series}");
    }
    assert_eq!(first.value(&format!("{MOVED}{{kind=\"deposit\",currency=\"USD\"}}")), None);
    let now = Clock::system().now().secs();
    let near = |series: &str| first.value(series).is_some_and(|at| (now - at).abs() < 300);
    assert!(near("bursar_last_alive_timestamp_seconds") && near("process_start_time_seconds"), "{}", first.text);
    assert!(near(verified), "{}", first.text);
    assert!(first.value("process_resident_memory_bytes") > Some(1 << 20) && first.value("process_open_fds") > Some(3));

    // Money, by kind; and requests, by operation and status.
    host.api.done("/v1/accounts", r#"{"name": "canary-ann"}"#);
    let deposit = r#"{"amount": "50.00", "reference": "r1"}"#;
    host.api.done("/v1/accounts/canary-ann/deposits", deposit);
    let order = r#"{"service": "canary-web", "plan": "acs-small"}"#;
    host.api.done("/v1/accounts/canary-ann/services", order);
    assert_eq!(host.api.get("/v1/accounts/nobody").status, 404);
    for number in 0..20 {
        assert_eq!(host.api.get(&format!("/v1/there-is-none/{number}")).status, 404);
    }
    let told = host.scrape();
    assert_eq!(told.value(&format!("{MOVED}{{kind=\"deposit\",currency=\"USD\"}}")), Some(50_000_000));
    assert!(told.value(&format!("{MOVED}{{kind=\"period\",currency=\"USD\"}}")) > Some(0), "{}", told.text);
    for (series, count) in [
        ("bursar_http_requests_total{operation=\"openAccount\",status=\"201\"}", 1),
        ("bursar_http_requests_total{operation=\"showAccount\",status=\"404\"}", 1),
        ("bursar_http_requests_total{operation=\"other\",status=\"404\"}", 20),
        ("bursar_http_request_duration_seconds_count{operation=\"openAccount\"}", 1),
    ] {
        assert_eq!(told.value(series), Some(count), "{series}\n{}", told.text);
    }
    assert!(told.value("bursar_commit_duration_seconds_count") >= Some(2), "{}", told.text);
    assert!(!told.text.contains("canary") && !told.text.contains("there-is-none"), "{}", told.text);

    // What waits for an admin.
    assert_eq!(run_on(&host.url, "jobs pause renew_services --reason test").status, Some(0));
    host.told("bursar_job_paused{job_name=\"renew_services\"}", Some(1));
    host.told("bursar_due_kept_back{kind=\"term\"}", Some(1));
    assert_eq!(run_on(&host.url, "jobs resume renew_services").status, Some(0));
    host.told("bursar_job_paused{job_name=\"renew_services\"}", Some(0));
    let held = host.books(async |store| opened(store, "bill_instances", Some("test")).await);
    host.told("bursar_runs_held{job_name=\"bill_instances\"}", Some(1));
    host.books(async |store| store.run_cancel(held.id, "ann", "test", Clock::system().now()).await).expect("cancelled");
    host.told("bursar_runs_held{job_name=\"bill_instances\"}", Some(0));
    let failed = host.books(async |store| {
        let run = opened(store, "verify_books", None).await;
        store.run_finish(run.id, RunEnd::Failed("test"), Clock::system().now()).await.expect("failed");
        store.run(run.id).await.expect("readable").expect("the run")
    });
    assert_eq!(failed.state, RunState::Failed);
    host.told("bursar_job_failed{job_name=\"verify_books\"}", Some(1));
    assert!(
        run_on(&host.url, "doctor --format json").out.contains("verify_books failed: test"),
        "doctor and metrics see the same"
    );
    assert_eq!(run_on(&host.url, "jobs enqueue verify_books").status, Some(0));
    host.told("bursar_job_failed{job_name=\"verify_books\"}", Some(0));
    let later = Clock::system().now().plus_days(1);
    host.books(async |store| store.park(AccountId(1), "test", Clock::system().now(), later).await).expect("parked");
    host.told("bursar_accounts_parked", Some(1));
    assert!(host.scrape().value("bursar_accounts_parked_oldest_timestamp_seconds").is_some());
    host.books(async |store| store.unpark(&[AccountId(1)]).await).expect("back");
    host.told("bursar_accounts_parked", Some(0));
    assert_eq!(host.scrape().value("bursar_accounts_parked_oldest_timestamp_seconds"), None);
    // Runs that this daemon did, by their jobs.
    let runs = "bursar_run_duration_seconds_count{job_name=\"verify_books\"}";
    assert!(host.scrape().value(runs) >= Some(1));
    let checked = promtool(&["check", "metrics"], &host.scrape().text);
    assert_eq!((checked.status, checked.err.as_str()), (Some(0), ""));
    assert_eq!(host.api.get("/metrics").status, 404, "it is on the other listener alone");
    assert_eq!(Api { address: host.metrics, ..host.api.clone() }.get("/v1/accounts").status, 404);
}

#[test]
fn a_scrape_is_answered_when_the_server_is_gone() {
    let mut server = Server::postgres();
    let host = Host::on(tempfile::tempdir().expect("a folder"), server.new_database(), "");
    server.command("-m immediate stop");
    wait_until("it is noticed", || host.scrape().value("bursar_database_up") == Some(0));
    let began = Stopwatch::start();
    let gone = host.scrape();
    // Prometheus gives up after ten seconds.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for series in ["bursar_ready", "bursar_database_up", "bursar_books_read"] {
        assert_eq!(gone.value(series), Some(0), "{series}\n{}", gone.text);
    }
    assert_eq!(gone.value("bursar_accounts_parked"), None, "what is not known is not told");
    assert!(gone.value("process_open_fds").is_some());
    server.command("start");
    for series in ["bursar_database_up", "bursar_books_read", "bursar_ready"] {
        host.told(series, Some(1));
    }
}

#[test]
fn scrapes_cost_a_bounded_number_of_statements_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("books.db").display());
    bounded(&Host::on(folder, url, FILTER));
}

#[test]
fn scrapes_cost_a_bounded_number_of_statements_on_postgres() {
    bounded(&Host::on(tempfile::tempdir().expect("a folder"), new_database(), FILTER));
}

const FILTER: &str = "[log]\nfilter = \"info,sqlx=debug\"\n";

/// Statements of all looks into the books so far.
fn statements(host: &Host) -> usize {
    host.daemon.log().lines().filter(|line| line.contains("scrape:")).count()
}

/// Statements of the looks that so many scrapes at once lead to.
fn of_scrapes(host: &Host, scrapes: usize) -> usize {
    thread::sleep(KEPT + Duration::from_millis(200));
    let before = statements(host);
    thread::scope(|scope| {
        for _ in 0..scrapes {
            scope.spawn(|| host.scrape());
        }
    });
    // Its log is read a little later.
    thread::sleep(Duration::from_millis(300));
    statements(host) - before
}

fn bounded(host: &Host) {
    const MOST: usize = 50;
    let one = of_scrapes(host, 1);
    assert!((10..MOST).contains(&one), "{one} statements\n{}", host.daemon.log());
    for number in 0..40 {
        host.api.done("/v1/accounts", &format!("{{\"name\": \"a{number}\"}}"));
    }
    // As many for many accounts, and no more for many scrapes at once.
    assert_eq!([of_scrapes(host, 1), of_scrapes(host, 20)], [one, one]);
}

#[test]
fn the_reference_lists_what_is_told() {
    let host = Host::on_sqlite();
    host.api.done("/v1/accounts", r#"{"name": "ann"}"#);
    host.api.done("/v1/accounts/ann/deposits", r#"{"amount": "50.00", "reference": "r1"}"#);
    let scrape = host.scrape();
    let text = fs::read_to_string(repository().join("docs/reference/metrics.md")).expect("the reference");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "));
    let known: BTreeMap<&str, Vec<&str>> = rows.map(|(name, rest)| (name, rest.splitn(3, " | ").collect())).collect();
    let mut lines = Vec::new();
    for (name, kind, help) in scrape.families() {
        let row = known.get(name.as_str()).cloned().unwrap_or_default();
        let labels: Vec<&str> =
            row.get(1).map(|labels| labels.split('`').skip(1).step_by(2).collect()).unwrap_or_default();
        let seen = scrape.labels(&name);
        let fits = seen.is_none_or(|seen| {
            seen.iter().map(String::as_str).eq({
                let mut labels = labels.clone();
                labels.sort_unstable();
                labels
            })
        });
        if row.first() != Some(&kind.as_str()) || row.get(2) != Some(&help.as_str()) || !fits {
            lines.push(format!("| `{name}` | {kind} | {:?} | {help} |", scrape.labels(&name)));
        }
    }
    assert!(lines.is_empty(), "docs/reference/metrics.md is to say:\n{}", lines.join("\n"));
    assert_eq!(known.len(), scrape.families().len(), "it lists what is not told");
}

#[test]
fn nobody_is_told_anything_unless_the_configuration_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("books.db").display());
    let silent = Daemon::start(&["--database-url", &url]);
    let log = silent.log();
    assert!(!log.contains("scrapes are answered"), "{log}");
    assert_eq!(silent.terminate().0, Some(0));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("its address").to_string();
    let mut serve = bursar(&["serve", "--listen", "127.0.0.1:0", "--metrics-listen", &taken]);
    let Ended { status, err, .. } = serve.args(["--database-url", &url]).output().expect("it starts").into();
    assert_eq!(status, Some(1), "{err}");
    assert!(err.contains(&format!("cannot listen on {taken}: set another `metrics_listen`")), "{err}");
    drop(listener);
    let config = folder.path().join("bursar.toml");
    fs::write(&config, "listen = \"127.0.0.1:8484\"\nmetrics_listen = \"127.0.0.1:8484\"\n").expect("written");
    let config = config.to_str().expect("UTF-8");
    let Ended { status, err, .. } = run(&["config", "check", config]);
    assert_eq!(status, Some(2), "{err}");
    assert!(err.contains("bursar.toml:2: metrics_listen: ") && err.contains("another port"), "{err}");
    fs::write(config, "metrics_listen = \"[::1]:8485\"\n").expect("written");
    assert!(run(&["config", "show", config]).out.contains("metrics_listen = \"[::1]:8485\""));
}
