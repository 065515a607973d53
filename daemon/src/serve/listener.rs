//! Where requests come in: a socket of the daemon's own, or one that systemd keeps while no daemon runs, so that who
//! calls during a restart waits instead of being refused (sd_listen_fds(3)).

use std::net::{self, SocketAddr};
use std::{env, process};

use anyhow::{Context as _, bail};
use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use tokio::net::TcpListener;

/// The socket that was handed in with the start, if there is one. Only before there are threads: its variables are
/// taken away, so that nobody takes it for theirs.
pub fn inherited() -> anyhow::Result<Option<net::TcpListener>> {
    let is_ours = env::var("LISTEN_PID").is_ok_and(|process| process == process::id().to_string());
    let mut sockets = ListenFd::from_env();
    if !is_ours || sockets.len() == 0 {
        return Ok(None);
    }
    if sockets.len() > 1 {
        bail!("{} sockets are handed in, where one is wanted: bursar.socket has one ListenStream=", sockets.len());
    }
    let socket = sockets.take_tcp_listener(0).context("what is handed in is no TCP socket")?;
    match socket {
        Some(socket) if socket_acceptconn(&socket)? => Ok(Some(socket)),
        _ => bail!("the socket that is handed in does not listen: bursar.socket wants Accept=no"),
    }
}

/// Listens where the metrics are told.
pub async fn listen_for_scrapes(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    let listener = bound.with_context(|| format!("cannot listen on {address}: set another `metrics_listen`"))?;
    tracing::info!(metrics = %listener.local_addr()?, "scrapes are answered");
    Ok(listener)
}

/// Listens on the socket that was handed in, else where the configuration says.
pub async fn listen(address: SocketAddr, inherited: Option<net::TcpListener>) -> anyhow::Result<TcpListener> {
    let Some(socket) = inherited else {
        let bound = TcpListener::bind(address).await;
        return bound.with_context(|| format!("cannot listen on {address}: set another `listen`"));
    };
    socket.set_nonblocking(true)?;
    let found = socket.local_addr()?;
    if found != address {
        tracing::info!(socket = %found, listen = %address, "the socket of the unit counts, not `listen`");
    }
    Ok(TcpListener::from_std(socket)?)
}
