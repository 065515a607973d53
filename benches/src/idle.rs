//! What a daemon without work takes: how soon it is ready on a database that is there, its memory, and its time on the
//! processors. The floor is a bare HTTP server.

use std::env;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use bursar::input::Config;
use bursar::serve::{Process, Role, serve};
use jobs::{Clock, Stopwatch};
use providers::NoCards;

use crate::servers::Server;

/// What `/proc` counts a process's time by, on every Linux.
const TICKS_PER_SEC: u64 = 100;

const PATIENCE: Duration = Duration::from_secs(30);

/// What a start leaves to be done is done then.
const SETTLED: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub struct IdleArgs {
    /// For how long it is watched
    #[arg(long, default_value_t = 60)]
    secs: u64,
}

#[derive(clap::Args)]
pub struct OneArgs {
    listen: SocketAddr,
    /// A daemon on this database; without it a bare server
    database: Option<String>,
}

pub fn run(args: &IdleArgs) -> anyhow::Result<()> {
    let (server, folder) = (Server::postgres(), tempfile::tempdir()?);
    let file = format!("sqlite:{}", folder.path().join("books.db").display());
    println!("A daemon without work, beside a bare HTTP server, each watched for {} s.", args.secs);
    println!("Goal: ready in 150 ms on a database that is there, 25 MB resident, under 0.5 % of a core.\n");
    for (what, database) in [("sqlite", Some(file)), ("postgres", Some(server.new_database())), ("bare", None)] {
        if database.is_some() {
            // Makes the database.
            drop(Running::start(database.as_deref())?);
        }
        watch(what, database.as_deref(), Duration::from_secs(args.secs))?;
    }
    Ok(())
}

fn watch(what: &str, database: Option<&str>, during: Duration) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let running = Running::start(database)?;
    let ready = watch.elapsed();
    thread::sleep(SETTLED);
    let before = running.ticks()?;
    thread::sleep(during);
    let ticks = running.ticks()? - before;
    let hundredths = ticks * 10_000 / (during.as_secs() * TICKS_PER_SEC);
    let kilobytes = running.resident_kib()? * 1024 / 1000;
    let (megabytes, percent) = (format!("{}.{}", kilobytes / 1000, kilobytes % 1000 / 100), hundredths / 100);
    println!(
        "  {what:<9} ready in {ready:>9.3?}, {megabytes:>5} MB resident, {percent}.{:02} % of a core",
        hundredths % 100
    );
    Ok(())
}

/// A process that answers `/readyz`; it is killed when this is dropped.
struct Running(Child);

impl Running {
    fn start(database: Option<&str>) -> anyhow::Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let listen = free.local_addr()?;
        drop(free);
        let started =
            Command::new(env::current_exe()?).arg("idle-one").arg(listen.to_string()).args(database).spawn()?;
        let running = Self(started);
        let watch = Stopwatch::start();
        while !is_ready(listen) {
            anyhow::ensure!(watch.elapsed() < PATIENCE, "it is not ready after {PATIENCE:?}");
            thread::sleep(Duration::from_millis(2));
        }
        Ok(running)
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        Ok(fs::read_to_string(format!("/proc/{}/{file}", self.0.id()))?)
    }

    /// Its time on the processors, in user and kernel mode.
    fn ticks(&self) -> anyhow::Result<u64> {
        let stat = self.read("stat")?;
        let (_, fields) = stat.rsplit_once(')').context("no process's stat")?;
        fields.split_whitespace().skip(11).take(2).map(|ticks| Ok(ticks.parse::<u64>()?)).sum()
    }

    fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_ready(listen: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(listen)?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.split(' ').nth(1) == Some("200"))
}

/// The process that is watched.
pub fn run_one(args: OneArgs) -> anyhow::Result<()> {
    // As the program has.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(answer(args))
}

async fn answer(args: OneArgs) -> anyhow::Result<()> {
    match args.database {
        Some(database) => {
            let config = Config { database, listen: args.listen, ..Config::default() };
            serve(config, Process::default(), Role::All, Clock::system(), Arc::new(NoCards)).await
        }
        None => {
            let listener = tokio::net::TcpListener::bind(args.listen).await?;
            Ok(axum::serve(listener, Router::new().route("/readyz", get(|| async { "ready" }))).await?)
        }
    }
}
