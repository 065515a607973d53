//! The real program, as anybody starts it, and the daemon.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jobs::Stopwatch;

/// Waited for anything at all before a test gives up; two cores may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

const LOOK: Duration = Duration::from_millis(10);

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The program with nothing of the tester's own settings.
pub fn bursar(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
    command.args(arguments).stdin(Stdio::null()).env_remove("RUST_LOG").env_remove("DATABASE_URL");
    command
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

pub fn run(arguments: &[&str]) -> Ended {
    bursar(arguments).output().expect("the program starts").into()
}

/// A command on these books, word by word.
pub fn run_on(url: &str, command: &str) -> Ended {
    let words: Vec<&str> = command.split_whitespace().collect();
    run(&[&words[..], &["--database-url", url]].concat())
}

/// The same, which must be done, for machines.
pub fn json_on(url: &str, command: &str) -> serde_json::Value {
    let Ended { status, out, err } = run_on(url, &format!("{command} --format json"));
    assert_eq!((status, err.as_str()), (Some(0), ""), "{command}\n{out}");
    serde_json::from_str(&out).expect(command)
}

/// The answer to a GET: status and body.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: bursar\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").expect("a body").1.to_owned())
}

/// Asks until it is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = Stopwatch::start();
    while !is_so() {
        assert!(waited.elapsed() < PATIENCE, "waited {} s until {what}", PATIENCE.as_secs());
        thread::sleep(LOOK);
    }
}

/// `bursar serve`; it is killed when this goes.
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
    /// Reads the log to its end.
    reader: Option<JoinHandle<()>>,
    /// Where the health checks answer.
    pub address: SocketAddr,
}

impl Daemon {
    /// Starts it on any free port, and waits until it listens.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = bursar(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(arguments);
        Self::of(command)
    }

    /// Starts it by this command, and waits until it listens.
    pub fn of(mut command: Command) -> Self {
        Self::started(command.stderr(Stdio::piped()).spawn().expect("the program starts"))
    }

    /// Waits until it listens; its log is piped.
    pub fn started(mut child: Child) -> Self {
        let lines = BufReader::new(child.stderr.take().expect("its log")).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let copy = log.clone();
        let reader = thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *copy.lock().unwrap_or_else(PoisonError::into_inner) += &(line + "\n");
            }
        });
        let reader = Some(reader);
        let mut daemon = Self { child, log, reader, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        wait_until("the daemon listens", || {
            let log = daemon.log();
            let ended = daemon.child.try_wait().expect("the daemon");
            assert!(ended.is_none(), "the daemon ended with {ended:?}\n{log}");
            let Some(address) = log.lines().filter(|line| line.contains("started")).find_map(address_in) else {
                return false;
            };
            daemon.address = address;
            true
        });
        daemon
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// For how long it kept a core busy until now.
    pub fn cpu_ms(&self) -> u64 {
        const TICK_MS: u64 = 10;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("it lives");
        // After its name, which ends with a bracket: the time in the program is the 12th, in the kernel the 13th.
        let fields = stat.rsplit_once(')').expect("a name").1.split_whitespace();
        fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum::<u64>() * TICK_MS
    }

    /// All that it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// SIGKILL: nothing of it runs any more when this returns.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is gone");
    }

    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("sh").success());
    }

    /// SIGTERM; how it ended, and all that it logged.
    pub fn terminate(self) -> (Option<i32>, String) {
        self.signal("TERM");
        self.ended()
    }

    /// How it ended by itself, and all that it logged.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let mut status = None;
        wait_until("the daemon has stopped", || {
            status = self.child.try_wait().expect("the daemon");
            status.is_some()
        });
        if let Some(reader) = self.reader.take() {
            reader.join().expect("its log is read");
        }
        (status.and_then(|status| status.code()), self.log())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of a log line, in text or in JSON.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("127.0.0.1:")?;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    format!("127.0.0.1:{port}").parse().ok()
}
