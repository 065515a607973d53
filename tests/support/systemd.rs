//! Systemd as the daemon meets it, without one that runs: who listens to its messages, its tools, and the filter of
//! system calls that a unit asks for.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::Duration;

use jobs::Stopwatch;
use seccompiler::{BpfProgram, TargetArch, apply_filter, compile_from_json};
use serde_json::{Value, json};

use crate::support::program::{Ended, repository};

/// Waited for a message before a test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Listens where NOTIFY_SOCKET points to.
pub struct Listener {
    socket: UnixDatagram,
    /// All that was heard, each message by its lines.
    pub heard: Vec<Vec<String>>,
}

impl Listener {
    pub fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { socket, heard: Vec::new() }
    }

    /// Listens until a message has a line that begins so; that line.
    pub fn until(&mut self, begins: &str) -> String {
        let [line] = self.until_all([begins]);
        line
    }

    /// Listens until each of these was said, in whatever order; the lines.
    pub fn until_all<const N: usize>(&mut self, begins: [&str; N]) -> [String; N] {
        let (since, mut found) = (Stopwatch::start(), begins.map(|_| None));
        while found.iter().any(Option::is_none) {
            let mut message = [0; 4096];
            let read = self.socket.recv(&mut message);
            let length = read.unwrap_or_else(|error| panic!("no {begins:?} after {:?}: {error}", self.heard));
            assert!(since.elapsed() < PATIENCE, "no {begins:?} among {:?}", self.heard);
            let text = std::str::from_utf8(&message[..length]).expect("UTF-8");
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            for (found, begins) in found.iter_mut().zip(begins) {
                *found = found.take().or_else(|| lines.iter().find(|line| line.starts_with(begins)).cloned());
            }
            self.heard.push(lines);
        }
        found.map(Option::unwrap_or_default)
    }

    /// Hears what was said already.
    pub fn drain(&mut self) {
        self.socket.set_nonblocking(true).expect("a socket");
        let mut message = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut message) {
            let text = std::str::from_utf8(&message[..length]).expect("UTF-8");
            self.heard.push(text.lines().map(str::to_owned).collect());
        }
        self.socket.set_nonblocking(false).expect("a socket");
    }

    /// The last message.
    pub fn last(&self) -> &[String] {
        self.heard.last().expect("a message")
    }

    /// How many messages had this line.
    pub fn count(&self, line: &str) -> usize {
        self.heard.iter().flatten().filter(|heard| *heard == line).count()
    }
}

/// Runs `systemd-analyze`, of Debian's package `systemd`, which is installed where it is missing.
pub fn analyze(arguments: &[&str]) -> Ended {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let mut need = Command::new("sh");
        need.args(["-e", "-c", ". ./common.sh; need systemd-analyze systemd"]);
        need.current_dir(repository().join("tests/servers"));
        assert!(need.status().expect("sh").success(), "these tests check the unit: install Debian's package `systemd`");
    });
    Command::new("systemd-analyze").args(arguments).env("SYSTEMD_PAGER", "").output().expect("systemd-analyze").into()
}

/// Which release it is.
pub fn release() -> u32 {
    let version = analyze(&["--version"]).out;
    version.split_whitespace().nth(1).and_then(|release| release.split('.').next()?.parse().ok()).expect("a release")
}

/// What a unit says of a key, line by line.
pub fn unit(name: &str, key: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join("systemd").join(name)).expect(name);
    let values = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

/// The calls that the unit leaves to the daemon, set by set as systemd knows them.
fn allowed_calls() -> BTreeSet<String> {
    // These are always left to everybody.
    let mut allowed = calls_of("@default");
    for line in unit("bursar.service", "SystemCallFilter") {
        let (forbids, sets) = line.strip_prefix('~').map_or((false, line.as_str()), |sets| (true, sets));
        for call in sets.split_whitespace().flat_map(calls_of) {
            if forbids {
                allowed.remove(&call)
            } else {
                allowed.insert(call)
            };
        }
    }
    // Of root alone, which the unit's user is not: SQLite gives files that root makes to the owner of the books.
    if rustix::process::geteuid().is_root() {
        allowed.insert("fchown".to_owned());
    }
    allowed
}

fn calls_of(name: &str) -> BTreeSet<String> {
    if !name.starts_with('@') {
        return BTreeSet::from([name.to_owned()]);
    }
    let listed = analyze(&["syscall-filter", "--no-pager", name]);
    assert_eq!(listed.status, Some(0), "{}", listed.err);
    let members = listed.out.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    members.flat_map(calls_of).collect()
}

/// The unit's SystemCallFilter, SystemCallArchitectures, RestrictAddressFamilies and MemoryDenyWriteExecute, as a filter
/// that ends whoever makes another call.
pub struct Filter(BpfProgram);

impl Filter {
    pub fn of_the_unit() -> Self {
        let equal = |index: u8, value: u64| json!({ "index": index, "type": "dword", "op": "eq", "val": value });
        // None of these bits.
        let without =
            |index: u8, bits: u64| json!({ "index": index, "type": "dword", "op": { "masked_eq": bits }, "val": 0 });
        let families = unit("bursar.service", "RestrictAddressFamilies").pop().expect("families");
        let families = families.split_whitespace().map(|family| match family {
            "AF_UNIX" => 1,
            "AF_INET" => 2,
            "AF_INET6" => 10,
            other => panic!("{other}: what is its number?"),
        });
        let (write, execute) = (2, 4);
        assert_eq!(unit("bursar.service", "MemoryDenyWriteExecute"), ["yes"]);
        let mut rules: Vec<Value> = Vec::new();
        for call in allowed_calls() {
            let conditions = match call.as_str() {
                "socket" => families.clone().map(|family| equal(0, family)).collect(),
                "mmap" => vec![without(2, write), without(2, execute)],
                "mprotect" | "pkey_mprotect" => vec![without(2, execute)],
                _ => {
                    rules.push(json!({ "syscall": call }));
                    continue;
                }
            };
            rules.extend(conditions.into_iter().map(|condition| json!({ "syscall": call, "args": [condition] })));
        }
        // The sets name calls of all machines.
        rules.retain(|rule| compiled(&json!([rule])).is_some());
        assert!(rules.len() > 200, "only {} rules", rules.len());
        Self(compiled(&json!(rules)).expect("a filter"))
    }

    /// Starts a program under it.
    pub fn spawn(&self, mut command: Command) -> Child {
        // A filter is its thread's, and of what that starts.
        let started = std::thread::scope(|scope| {
            let filtered = scope.spawn(|| {
                apply_filter(&self.0).expect("the kernel takes the filter");
                command.spawn()
            });
            filtered.join().expect("a thread")
        });
        started.expect("the program starts")
    }
}

fn compiled(rules: &Value) -> Option<BpfProgram> {
    let native = TargetArch::try_from(std::env::consts::ARCH).expect("a machine that seccompiler knows");
    let filter = json!({ "unit": { "mismatch_action": "kill_process", "match_action": "allow", "filter": rules } });
    compile_from_json(filter.to_string().as_bytes(), native).ok()?.remove("unit")
}
