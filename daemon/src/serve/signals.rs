//! SIGTERM and SIGINT: the first asks for the stop, the second does not wait for it.

use anyhow::Context as _;
use jobs::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a shell reports of a process that a signal ended, without the signal's number.
const BY_SIGNAL: i32 = 128;

pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on the signals do not end the process by themselves.
    pub fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    pub async fn ask(mut self, stop: Stop) {
        let name = self.next().await.0;
        tracing::info!(signal = name, "asked to stop");
        stop.ask();
        let (name, kind) = self.next().await;
        tracing::warn!(signal = name, "asked again: not waiting for what is at work; nothing committed is lost");
        std::process::exit(BY_SIGNAL + kind.as_raw_value());
    }

    async fn next(&mut self) -> (&'static str, SignalKind) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate()),
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt()),
        }
    }
}
