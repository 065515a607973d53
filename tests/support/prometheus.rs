//! Prometheus as the daemon meets it, without one that runs: who scrapes, and its tool that checks.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::support::program::{Daemon, Ended, get, repository, wait_until};

/// Where a daemon tells its metrics, which it was told to do on any free port.
pub fn address(daemon: &Daemon) -> SocketAddr {
    let mut found = None;
    wait_until("scrapes are answered", || {
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("scrapes are answered"));
        found = line.and_then(|line| {
            let (_, rest) = line.split_once("127.0.0.1:")?;
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            format!("127.0.0.1:{port}").parse().ok()
        });
        found.is_some()
    });
    found.expect("an address")
}

/// What was scraped at once.
#[derive(Debug)]
pub struct Scrape {
    pub text: String,
    /// By series, as in `name{label="value"}`.
    pub values: BTreeMap<String, String>,
}

impl Scrape {
    pub fn of(address: SocketAddr) -> Self {
        let (status, text) = get(address, "/metrics");
        assert_eq!(status, 200, "{text}");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.map(|line| line.rsplit_once(' ').expect(line));
        let values = pairs.map(|(series, value)| (series.to_owned(), value.to_owned())).collect();
        Self { text, values }
    }

    /// A whole number; none where there is no such series.
    pub fn value(&self, series: &str) -> Option<i64> {
        self.values.get(series).map(|value| value.parse().unwrap_or_else(|_| panic!("{series} {value}")))
    }

    /// Name, type and help of each family.
    pub fn families(&self) -> Vec<(String, String, String)> {
        let of = |mark: &str| -> Vec<(String, String)> {
            let lines = self.text.lines().filter_map(|line| line.strip_prefix(mark)?.split_once(' '));
            lines.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
        };
        let (helps, kinds) = (of("# HELP "), of("# TYPE "));
        let pairs = helps.into_iter().zip(kinds);
        pairs
            .map(|((name, help), (same, kind))| {
                assert_eq!(name, same);
                (name, kind, help)
            })
            .collect()
    }

    /// The labels that a family's series have, but a histogram's bound.
    pub fn labels(&self, family: &str) -> Option<BTreeSet<String>> {
        let of_family = |series: &&String| {
            let name = series.split('{').next().unwrap_or_default();
            ["", "_bucket", "_sum", "_count"].iter().any(|suffix| name.strip_suffix(suffix) == Some(family))
        };
        let series = self.values.keys().find(of_family)?;
        let labels = series.split_once('{').map_or("", |(_, labels)| labels);
        let names = labels.split("=\"").filter_map(|part| part.rsplit(['"', ',', '{']).next());
        let names = names.filter(|name| !name.is_empty() && !name.contains('}') && *name != "le");
        Some(names.map(str::to_owned).collect())
    }
}

/// Runs `promtool`, of Debian's package `prometheus`.
pub fn promtool(arguments: &[&str], input: &str) -> Ended {
    let mut command = Command::new(found());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tool = command.current_dir(repository()).spawn().expect("promtool starts");
    tool.stdin.take().expect("its input").write_all(input.as_bytes()).expect("told");
    tool.wait_with_output().expect("it ends").into()
}

/// Taken out of the package, which is not installed: that would start a Prometheus on this machine.
const FETCH: &str = r#"
set -e
folder=$(mktemp -d "$1.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"
# Of the user who downloads, not of apt's own, which may not write here.
fetch() { apt-get -o APT::Sandbox::User=root download prometheus; }
refresh() { if [ "$(id -u)" = 0 ]; then apt-get update; else sudo -n apt-get update; fi; }
fetch || { refresh && fetch; }
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x -O ./usr/bin/promtool >promtool
chmod 755 promtool
./promtool --version
mv promtool "$1"
"#;

fn found() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        if Command::new("promtool").arg("--version").output().is_ok_and(|run| run.status.success()) {
            return PathBuf::from("promtool");
        }
        let promtool = repository().join("target/promtool");
        if !promtool.is_file() {
            let mut fetch = Command::new("sh");
            let fetched = fetch.args(["-c", FETCH, "sh"]).arg(&promtool).output().expect("sh");
            assert!(
                promtool.is_file(),
                "these tests read metrics and alerts as Prometheus does: put a `promtool` on the path, as from Debian's \
                package `prometheus` ({})",
                String::from_utf8_lossy(&fetched.stderr)
            );
        }
        promtool
    })
}
