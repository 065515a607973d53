//! What systemd is told (sd_notify(3)). Where nobody listens it is told to nobody.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sd_notify::NotifyState;

/// Clones speak with one voice.
#[derive(Clone, Debug, Default)]
pub struct Notify(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    ready: AtomicBool,
    stopping: AtomicBool,
    status: Mutex<Status>,
}

#[derive(Debug, Default)]
struct Status {
    line: String,
    /// What came of the last reload, as long as there is more to say of it than that it was done.
    reload: Option<String>,
}

impl Notify {
    pub fn is_heard() -> bool {
        env::var_os("NOTIFY_SOCKET").is_some()
    }

    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::SeqCst)
    }

    /// It is migrated, listens and schedules.
    pub fn ready(&self) {
        if !self.0.ready.swap(true, Ordering::SeqCst) {
            say(&[NotifyState::Ready]);
        }
    }

    /// The configuration is read anew; without the time of it systemd would not know which reload this is.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) if self.is_ready() => say(&[NotifyState::Reloading, now]),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the monotonic clock cannot be read"),
        }
    }

    /// However that came out, the daemon goes on; `note` stays in the status.
    pub fn reloaded(&self, note: Option<String>) {
        let mut status = self.0.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.reload = note;
        if self.is_ready() {
            say(&[NotifyState::Ready, NotifyState::Status(&status.shown())]);
        }
    }

    pub fn stopping(&self) {
        if !self.0.stopping.swap(true, Ordering::SeqCst) {
            say(&[NotifyState::Stopping, NotifyState::Status("stopping: what is at work ends first")]);
        }
    }

    pub fn alive(&self) {
        say(&[NotifyState::Watchdog]);
    }

    /// A line for `systemctl status`, if it is another than before.
    pub fn status(&self, line: &str) {
        if self.0.stopping.load(Ordering::SeqCst) {
            return;
        }
        let mut status = self.0.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.line != line {
            line.clone_into(&mut status.line);
            say(&[NotifyState::Status(&status.shown())]);
        }
    }
}

impl Status {
    /// On one line, whatever it is made of.
    fn shown(&self) -> String {
        let parts = [Some(self.line.as_str()), self.reload.as_deref()].into_iter().flatten();
        parts.map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("; ")
    }
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd does not hear");
    }
}
