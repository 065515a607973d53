//! Servers that the tests bring up by themselves, on ports of their own. Each is gone when its process is, however
//! that ended: its script reads a pipe that nobody holds any more.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A server of a test's own.
pub struct Server {
    script: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub port: u16,
}

impl Server {
    pub fn postgres() -> Self {
        Self::start("postgres.sh")
    }

    pub fn redis() -> Self {
        Self::start("redis.sh")
    }

    fn start(script: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("bursar-").tempdir().expect("a folder").keep();
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("its number").port();
        drop(free);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/servers").join(script);
        let mut script = Command::new(path)
            .arg(folder)
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script starts");
        let (commands, answers) = (script.stdin.take(), script.stdout.take().expect("its answers"));
        let mut server = Self { script, commands, answers: BufReader::new(answers), port };
        assert_eq!(server.answer(), "ready", "the server does not start: its script says why");
        server
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        line.trim().to_owned()
    }

    /// A new, empty database on it.
    pub fn new_database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("books_{}", COUNT.fetch_add(1, Ordering::SeqCst));
        sql(&format!("postgres://bursar@127.0.0.1:{}/postgres", self.port), &format!("create database {name}"));
        format!("postgres://bursar@127.0.0.1:{}/{name}", self.port)
    }

    /// Has the script do something to the server.
    pub fn command(&mut self, command: &str) {
        let commands = self.commands.as_mut().expect("it runs");
        writeln!(commands, "{command}").expect("told");
        assert_eq!(self.answer(), "done", "{command}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.script.wait();
    }
}

/// A new, empty database on a PostgreSQL that all tests of this process share.
pub fn new_database() -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::postgres).new_database()
}

/// A copy of a database on the same server, from whose connections it is freed for that.
pub fn copy_database(url: &str) -> String {
    let (server, name) = url.rsplit_once('/').expect("a database");
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let copied = format!("copy_{}", COUNT.fetch_add(1, Ordering::SeqCst));
    let (copy, server) = (format!("{server}/{copied}"), format!("{server}/postgres"));
    sql(&server, &format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"));
    sql(&server, &format!("create database {copied} template {name}"));
    copy
}

/// Runs a statement by PostgreSQL's own client; what it answered.
pub fn sql(url: &str, statement: &str) -> String {
    let run = Command::new("psql").args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statement, url]).output();
    let run = run.expect("psql starts");
    assert!(run.status.success(), "{statement}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).expect("UTF-8").trim_end().to_owned()
}
