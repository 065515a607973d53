//! The HTTP API from outside, on both databases.

mod flow;
mod hostile;
mod keys;
mod matrix;
mod office;
mod once;
mod property;
mod quarter;
mod schema;

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::http::Api;
use crate::support::program::{Daemon, json_on, repository, wait_until};
use crate::support::servers::new_database;

/// A host with a daemon, three price lists and a key for everything.
struct Host {
    folder: TempDir,
    url: String,
    daemon: Option<Daemon>,
    api: Api,
}

impl Host {
    fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        Self::on(folder, url)
    }

    fn on_postgres() -> Self {
        Self::on(tempfile::tempdir().expect("a folder"), new_database())
    }

    fn on(folder: TempDir, url: String) -> Self {
        let prices = repository().join("config/prices");
        let lists: Vec<_> = ["device-management.toml", "vps.toml", "cloud.toml"].map(|list| prices.join(list)).into();
        let config = format!("trusted_proxies = [\"127.0.0.1\"]\n[prices]\nfiles = {lists:?}\n");
        fs::write(folder.path().join("bursar.toml"), config).expect("written");
        let api = Api { address: ([127, 0, 0, 1], 0).into(), key: None, from: None };
        let mut host = Self { folder, url, daemon: None, api };
        host.start();
        host.api.key = Some(host.key("admin"));
        host
    }

    fn start(&mut self) {
        let config = self.folder.path().join("bursar.toml");
        let config = config.to_str().expect("UTF-8");
        let daemon = Daemon::start(&["--config", config, "--database-url", &self.url]);
        self.api.address = daemon.address;
        self.daemon = Some(daemon);
        wait_until("it is ready", || self.api.get("/readyz").status == 200);
    }

    /// A new key with this scope.
    fn key(&self, scope: &str) -> String {
        let made = self.command(&format!("keys create {scope} --scope {scope}"));
        made["secret"].as_str().expect("a secret").to_owned()
    }

    fn command(&self, command: &str) -> Value {
        json_on(&self.url, command)
    }

    /// An account with money.
    fn customer(&self, name: &str, amount: &str) -> Value {
        let opened = self.api.done("/v1/accounts", &format!("{{\"name\": \"{name}\"}}"));
        let deposit = format!("{{\"amount\": \"{amount}\", \"reference\": \"first-{name}\"}}");
        self.api.done(&format!("/v1/accounts/{name}/deposits"), &deposit);
        opened
    }

    /// Waits until all that is in the audit log is sealed, and so can be seen.
    fn settled(&self) {
        let seen = || self.api.get("/v1/audit?limit=1000").json()["entries"].as_array().map_or(0, Vec::len);
        let mut before = seen();
        wait_until("nothing comes any more", || {
            std::thread::sleep(std::time::Duration::from_secs(3));
            let now = seen();
            std::mem::replace(&mut before, now) == now
        });
    }

    fn verified(&self) {
        let verified = crate::support::program::run_on(&self.url, "verify");
        assert_eq!(verified.status, Some(0), "{}{}", verified.out, verified.err);
    }
}
