//! Every secret there is carries a marker; a daemon is driven through good and bad, and all that came out is searched.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::json;
use tempfile::TempDir;

use crate::support::canaries::{Canary, Seen, dump, of_process, strayed};
use crate::support::http::{Api, send};
use crate::support::program::{Daemon, Ended, bursar, get, repository, wait_until};
use crate::support::prometheus::address;
use crate::support::servers::{Server, sql};
use crate::support::systemd::unit;

const DATABASE_PASSWORD: &str = "canary-database/@: password";
const QUEUE_PASSWORD: &str = "canary-queue-password";
const ONCE: &str = "canary-idempotency-key";

/// As somebody might write it where it has no place.
const CARD: &str = "4111 1111 1111 1111";

/// A host with its secrets where systemd hands them in.
struct Host {
    folder: TempDir,
    /// Where the books are, without a password.
    url: String,
    servers: Option<(Server, Server)>,
    seen: Seen,
    canaries: Vec<Canary>,
}

impl Host {
    fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        Self::new(folder, url, None)
    }

    /// On a server that lets nobody in without a password, with the queue in a Redis that does neither.
    fn on_postgres() -> Self {
        let (server, redis) = (Server::postgres(), Server::redis());
        let url = server.new_database();
        let rules = sql(&url, "show hba_file");
        sql(&url, &format!("alter role bursar password '{DATABASE_PASSWORD}'"));
        fs::write(rules, "host all all 127.0.0.1/32 scram-sha-256\n").expect("the server's rules");
        sql(&url, "select pg_reload_conf()");
        let set = ["-p", &redis.port.to_string(), "config", "set", "requirepass", QUEUE_PASSWORD];
        assert!(Command::new("redis-cli").args(set).output().expect("redis-cli").status.success());
        Self::new(tempfile::tempdir().expect("a folder"), url, Some((server, redis)))
    }

    fn new(folder: TempDir, url: String, servers: Option<(Server, Server)>) -> Self {
        let credentials = folder.path().join("credentials");
        fs::create_dir(&credentials).expect("a folder");
        for (name, secret) in
            [("bursar.database_password", DATABASE_PASSWORD), ("bursar.queue_password", QUEUE_PASSWORD)]
        {
            // A file needs none.
            if servers.is_some() {
                let path = credentials.join(name);
                fs::write(&path, format!("{secret}\n")).expect("written");
                fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("its mode");
            }
        }
        let canaries = vec![
            Canary::new("the database's password", DATABASE_PASSWORD),
            Canary::new("the queue's password", QUEUE_PASSWORD),
            Canary::new("an Idempotency-Key", ONCE).living_in("requests"),
        ];
        Self { folder, url, servers, seen: Seen::default(), canaries }
    }

    fn config(&self, format: &str, more: &str) -> PathBuf {
        let prices = repository().join("config/prices/device-management.toml");
        let queue = self
            .servers
            .as_ref()
            .map_or_else(String::new, |(_, redis)| format!("[queue]\nurl = \"redis://127.0.0.1:{}\"\n", redis.port));
        let path = self.folder.path().join("bursar.toml");
        let text = format!(
            "{more}database = \"{}\"\n[prices]\nfiles = [{prices:?}]\n[log]\nformat = \"{format}\"\nfilter = \"debug\"\n\
            {queue}",
            self.url
        );
        fs::write(&path, text).expect("written");
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bursar(arguments);
        command.env("CREDENTIALS_DIRECTORY", self.folder.path().join("credentials"));
        command
    }

    /// A command, of which all that it says is seen.
    fn says(&mut self, arguments: &[&str]) -> Ended {
        let ended: Ended = self.command(arguments).output().expect("it starts").into();
        self.seen.ended(&arguments.join(" "), &ended);
        ended
    }

    fn start(&self, config: &Path) -> Daemon {
        let config = config.to_str().expect("UTF-8");
        let listen = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--config", config];
        let daemon = Daemon::of(self.command(&listen));
        wait_until("it is ready", || get(daemon.address, "/readyz").0 == 200);
        daemon
    }
}

#[test]
fn no_secret_comes_out_on_sqlite() {
    search(Host::on_sqlite());
}

#[test]
fn no_secret_comes_out_on_postgres() {
    search(Host::on_postgres());
}

fn search(mut host: Host) {
    for format in ["text", "json"] {
        let config = host.config(format, "");
        let daemon = host.start(&config);
        let key = new_key(&mut host, &config, format);
        let api = Api { address: daemon.address, key: Some(key), from: None };
        ask(&mut host, &api, format);
        look(&mut host, &config, &daemon);
        go_wrong(&mut host, &api, &daemon, format);
        let id = daemon.id();
        host.seen.add("its command line", of_process(id, "cmdline"));
        host.seen.add("its environment", of_process(id, "environ"));
        let metrics = address(&daemon);
        host.seen.add("the metrics", get(metrics, "/metrics").1);
        let (status, log) = daemon.terminate();
        assert_eq!(status, Some(0), "{log}");
        assert!(log.contains("stopped") && log.contains("DEBUG"), "all that there is to say: {log}");
        host.seen.add(format!("the log in {format}"), log);
    }
    start_in_vain(&mut host);

    let dump = dump(&host.url, DATABASE_PASSWORD);
    // What public ids are made with is known by its place.
    let secret = dump.lines().find(|line| line.starts_with("INSERT INTO") && line.contains("id_secrets"));
    let secret = secret.and_then(|line| line.split('\'').nth(1)).expect("the secret of the ids");
    host.canaries.push(Canary::new("the secret of the ids", secret).living_in("id_secrets"));
    let leaks = host.seen.leaks(&host.canaries);
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    assert_eq!(host.seen.card_numbers(&["the log in", "stderr of", "the metrics"]), [""; 0]);
    assert_eq!(strayed(&dump, &host.canaries), [].into());
    // What lives nowhere is in no byte of the file either, also where rows were before.
    let mut bytes = Seen::default();
    let path = host.url.strip_prefix("sqlite:").unwrap_or_default();
    for file in [path.to_owned(), format!("{path}-wal")] {
        let found = fs::read(&file).unwrap_or_default();
        bytes.add(file, String::from_utf8_lossy(&found));
    }
    host.canaries.retain(|canary| canary.home.is_none());
    assert_eq!(bytes.leaks(&host.canaries), [""; 0]);
    // Nor is a crash to write them down.
    assert_eq!(unit("bursar.service", "LimitCORE"), ["0"]);
}

/// A key is shown once, to whoever makes it.
fn new_key(host: &mut Host, config: &Path, name: &str) -> String {
    let config = config.to_str().expect("UTF-8");
    let make = ["keys", "create", name, "--scope", "admin", "--format", "json", "--config", config];
    let made: Ended = host.command(&make).output().expect("it starts").into();
    assert_eq!(made.status, Some(0), "{}", made.err);
    let made: serde_json::Value = serde_json::from_str(&made.out).expect("JSON");
    let key = made["secret"].as_str().expect("a secret").to_owned();
    let secret = key.rsplit('_').next().expect("a secret");
    host.canaries.push(Canary::new("an API key", secret));
    key
}

/// Requests that go well, and all kinds of those that do not.
fn ask(host: &mut Host, api: &Api, name: &str) {
    let details = [
        ("email", format!("canary-{name}@mail.example")),
        ("name", format!("Canary Person {name}")),
        ("company", format!("Canary Company {name}")),
        ("address", format!("Canary Street 7, 12345 {name}")),
        ("tax_id", format!("DE-CANARY-{name}")),
    ];
    host.canaries
        .extend(details.iter().map(|(what, text)| Canary::new(what, text.clone()).living_in("account_details")));
    let account = format!("/v1/accounts/{name}");
    let body: serde_json::Map<String, serde_json::Value> =
        details.iter().map(|(what, text)| ((*what).to_owned(), json!(text))).collect();
    let body = json!(body).to_string();
    let told = [
        ("POST /v1/accounts", api.post("/v1/accounts", &json!({ "name": name }).to_string()), 201),
        (
            "a deposit",
            api.post_as(
                &format!("{account}/deposits"),
                &format!("{ONCE}-{name}"),
                &json!({ "amount": "50.00", "reference": format!("r-{name}") }).to_string(),
            ),
            201,
        ),
        (
            "an order",
            api.post(
                &format!("{account}/services"),
                &json!({ "service": format!("web-{name}"), "plan": "acs-small" }).to_string(),
            ),
            201,
        ),
        ("the account", api.get(&account), 200),
        ("the accounts", api.get("/v1/accounts"), 200),
        ("the log", api.get("/v1/audit?limit=1000"), 200),
        ("the keys", api.get("/v1/keys"), 200),
        ("the document", api.get("/openapi.json"), 200),
        ("nothing", api.get("/v1/accounts/nobody"), 404),
        ("no path", api.get("/v1/none"), 404),
        ("bad JSON", api.post(&format!("{account}/details"), &body[..body.len() - 1]), 400),
        ("a bad detail", api.post(&format!("{account}/details"), r#"{"email": "not one"}"#), 422),
        ("an unknown detail", api.post(&format!("{account}/details"), &body.replace("tax_id", "tax")), 422),
        ("a refusal", api.post(&format!("{account}/adjustments"), r#"{"amount": "-900", "reason": "x"}"#), 409),
        ("a wrong method", api.post(&account, "{}"), 405),
    ];
    for (what, reply, status) in told {
        assert_eq!(reply.status, status, "{what}: {reply:?}");
        host.seen.add(format!("the answer to {what}"), format!("{}\n{}", reply.head, reply.body));
    }
    // Whoever may, sees them.
    assert_eq!(api.post(&format!("{account}/details"), &body).status, 200);
    let shown = api.get(&format!("{account}/details"));
    assert!(shown.status == 200 && shown.body.contains("Canary Person"), "{shown:?}");
    // Free text may be anything; where it was put it stays.
    let reason = json!({ "amount": "1.00", "reason": format!("paid by {CARD}") }).to_string();
    assert_eq!(api.post(&format!("{account}/adjustments"), &reason).status, 201);
    wrong_keys(host, api, name);
}

fn wrong_keys(host: &mut Host, api: &Api, name: &str) {
    let right = api.key.as_deref().expect("a key").to_owned();
    let (prefix, secret) = right.rsplit_once('_').expect("a secret");
    let turned: String = secret.chars().rev().collect();
    let unknown = format!("bk_0123456789ab_{}", turned);
    let junk = format!("canary-junk-token-{name}");
    for wrong in [format!("{prefix}_{turned}"), unknown, junk.clone()] {
        let reply = api.with(&wrong).get("/v1/accounts");
        assert_eq!(reply.status, 401, "{reply:?}");
        host.seen.add("the answer to a wrong key", reply.body);
    }
    host.canaries.push(Canary::new("a wrong key", turned));
    host.canaries.push(Canary::new("a token that is none", junk.clone()));
    let head = format!("GET /v1/accounts HTTP/1.1\r\nHost: bursar\r\nConnection: close\r\nAuthorization: Basic {junk}");
    for request in [format!("{head}\r\n\r\n"), format!("{head}\r\nAuthorization: Bearer {junk}\r\n\r\n")] {
        let reply = send(api.address, request.as_bytes()).expect("an answer");
        host.seen.add("the answer to a header that is none", reply.body);
    }
}

/// Commands of an admin beside the daemon.
fn look(host: &mut Host, config: &Path, daemon: &Daemon) {
    let config = config.to_str().expect("UTF-8");
    for command in
        [&["verify"][..], &["doctor"], &["accounts", "list"], &["runs", "list"], &["jobs", "list"], &["keys", "list"]]
    {
        let ended = host.says(&[command, &["--config", config]].concat());
        assert!(ended.status.is_some_and(|status| status < 2), "{command:?}: {}", ended.err);
    }
    assert_eq!(host.says(&["config", "show", config]).status, Some(0));
    assert_eq!(host.says(&["config", "check", config]).status, Some(0));
    let place = host.url.rsplit_once('/').map_or("", |(_, name)| name).to_owned();
    assert!(daemon.log().contains(&place), "the database is named, without its password");
}

/// What goes wrong while it runs: a bad configuration to reload, and a server that goes away.
fn go_wrong(host: &mut Host, api: &Api, daemon: &Daemon, format: &str) {
    let password = DATABASE_PASSWORD.replace(['/', '@', ':', ' '], "-");
    host.canaries.push(Canary::new("a password in a bad URL", password.clone()));
    for bad in [
        format!("database = \"mysql://bursar:{password}@h/d\"\n"),
        format!("database = \"postgres://bursar:{password}@127.0.0.1:notaport/d\"\n"),
        format!("database = \"postgres://bursar:{password}@h/d\"\nport = 7\n"),
    ] {
        let before = daemon.log().matches("the one before holds").count();
        let path = host.folder.path().join("bursar.toml");
        fs::write(&path, &bad).expect("written");
        assert_eq!(host.says(&["config", "check", path.to_str().expect("UTF-8")]).status, Some(2), "{bad}");
        daemon.signal("HUP");
        wait_until("it is refused", || daemon.log().matches("the one before holds").count() > before);
    }
    let config = host.config(format, "");
    daemon.signal("HUP");
    wait_until("it is taken", || daemon.log().contains("was read anew"));
    let metrics = address(daemon);
    let Some((mut server, redis)) = host.servers.take() else { return };
    server.command("-m immediate stop");
    let deposit = json!({ "amount": "50.00", "reference": "lost" }).to_string();
    let pay = || api.post_as(&format!("/v1/accounts/{format}/deposits"), &format!("{ONCE}-lost-{format}"), &deposit);
    // At once: each may wait for a connection as long as it does.
    let replies = thread::scope(|scope| {
        let asked = ["/v1/accounts", "/v1/jobs", "/readyz"].map(|path| (path, scope.spawn(move || api.get(path))));
        let asked = asked.into_iter().chain([("a deposit", scope.spawn(pay))]);
        let asked: Vec<_> = asked.collect();
        asked.into_iter().map(|(what, reply)| (what, reply.join().expect("an answer"))).collect::<Vec<_>>()
    });
    for (what, reply) in replies {
        assert!(reply.status >= 500, "{what}: {reply:?}");
        host.seen.add(format!("the answer to {what} without a database"), format!("{}\n{}", reply.head, reply.body));
    }
    host.seen.add("the metrics without a database", get(metrics, "/metrics").1);
    let doctor = host.says(&["doctor", "--config", config.to_str().expect("UTF-8")]);
    assert_eq!(doctor.status, Some(1), "{}{}", doctor.out, doctor.err);
    server.command("start");
    wait_until("it is ready again", || get(daemon.address, "/readyz").0 == 200);
    host.servers = Some((server, redis));
}

/// Starts that come to nothing, with passwords that are wrong.
fn start_in_vain(host: &mut Host) {
    let config = host.config("text", "");
    let config = config.to_str().expect("UTF-8").to_owned();
    if host.servers.is_some() {
        let wrong = "canary-wrong-password";
        host.canaries.push(Canary::new("a wrong password", wrong));
        let credentials = host.folder.path().join("credentials");
        let path = credentials.join("bursar.database_password");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        fs::write(&path, wrong).expect("written");
        let serve = host.says(&["serve", "--listen", "127.0.0.1:0", "--config", &config]);
        assert_eq!(serve.status, Some(1), "{}", serve.err);
        assert_eq!(host.says(&["doctor", "--config", &config]).status, Some(1));
        fs::write(&path, DATABASE_PASSWORD).expect("written");
        fs::write(credentials.join("bursar.queue_password.new"), wrong).expect("written");
        fs::rename(credentials.join("bursar.queue_password.new"), credentials.join("bursar.queue_password"))
            .expect("renamed");
        // It may give up at once, or wait for a Redis that lets it in.
        let mut serve = Command::new("timeout");
        serve.args(["20", env!("CARGO_BIN_EXE_bursar"), "serve", "--listen", "127.0.0.1:0", "--config", &config]);
        let serve: Ended = serve.env("CREDENTIALS_DIRECTORY", credentials).output().expect("it starts").into();
        assert_ne!(serve.status, Some(0), "{}", serve.err);
        host.seen.ended("serve without a queue", &serve);
    }
    fs::write(&config, "database = [\n").expect("written");
    assert_eq!(host.says(&["serve", "--listen", "127.0.0.1:0", "--config", &config]).status, Some(78));
}
