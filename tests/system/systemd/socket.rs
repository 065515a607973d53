//! A socket that outlives the daemon: handed in as systemd does.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::program::{Daemon, Ended, bursar, get};

/// Its socket is the third after the usual ones; the process keeps its number.
const HAND_IN: &str =
    r#"exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=$1 LISTEN_FDNAMES=bursar.socket; shift; exec "$@""#;

/// `bursar serve` with this socket; its configuration would have it listen where it may not.
fn serve(folder: &Path, socket: impl Into<OwnedFd>, sockets: &str) -> Command {
    let url = format!("sqlite:{}", folder.join("books.db").display());
    let mut command = Command::new("sh");
    command.args(["-c", HAND_IN, "sh", sockets, env!("CARGO_BIN_EXE_bursar"), "serve"]);
    command.args(["--listen", "192.0.2.1:1", "--database-url", &url]);
    command.stdin(Stdio::from(socket.into())).env_remove("RUST_LOG");
    command
}

#[test]
fn who_calls_while_no_daemon_runs_is_answered_by_the_next_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("its address");
    let start = || Daemon::of(serve(folder.path(), socket.try_clone().expect("a copy"), "1"));

    let first = start();
    assert_eq!(first.address, address, "{}", first.log());
    assert_eq!(get(address, "/healthz"), (200, "ok".to_owned()));
    // What it was handed is nobody else's: closed for whom it starts, its variables gone.
    let socket_info = std::fs::read_to_string(format!("/proc/{}/fdinfo/3", first.id())).expect("its socket");
    let flags = socket_info.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags").trim().to_owned();
    assert_eq!(u64::from_str_radix(&flags, 8).expect("octal") & 0o2_000_000, 0o2_000_000, "close-on-exec: {flags}");
    let (status, log) = first.terminate();
    assert_eq!(status, Some(0), "{log}");

    let mut caller = TcpStream::connect(address).expect("the kernel takes the call");
    write!(caller, "GET /healthz HTTP/1.1\r\nHost: bursar\r\nConnection: close\r\n\r\n").expect("sent");
    let second = start();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok"), "{answer}");
    assert_eq!(second.terminate().0, Some(0));
}

#[test]
fn a_socket_that_cannot_be_served_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let listening = || TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listening();
    let connected = TcpStream::connect(address.local_addr().expect("its address")).expect("a connection");
    for (socket, sockets, told) in [
        (OwnedFd::from(connected), "1", "does not listen"),
        (listening().into(), "2", "2 sockets are handed in"),
        (std::fs::File::open("/dev/null").expect("a file").into(), "1", "no TCP socket"),
    ] {
        let Ended { status, err, .. } = serve(folder.path(), socket, sockets).output().expect("it starts").into();
        assert_eq!(status, Some(1), "{told}: {err}");
        assert!(err.contains(told), "{err}\nnot: {told}");
    }
}

/// The variables of a parent that passes them on by mistake.
#[test]
fn a_socket_of_another_process_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("books.db").display());
    let mut command = bursar(&["serve", "--listen", "127.0.0.1:0", "--database-url", &url]);
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1");
    let daemon = Daemon::of(command);
    assert_eq!(get(daemon.address, "/healthz"), (200, "ok".to_owned()));
    assert_eq!(daemon.terminate().0, Some(0));
}
