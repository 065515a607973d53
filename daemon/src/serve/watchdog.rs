//! Systemd's watchdog hears from the daemon only while it gets on: the scheduler finishes rounds, the database answers,
//! and the queue's wakes are taken. What hangs in any of them, systemd ends, and a new start goes on from the books.
//!
//! A database or a Redis that refuses is no such thing: the daemon waits for it, and a start would wait no better.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use store::{Pulse, Store, StoreError};
use tokio::time::timeout;

use crate::serve::notify::Notify;
use crate::serve::seldom::Seldom;
use crate::serve::workers::Desk;

/// What takes longer does not answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What hung is looked at again after this.
const AGAIN: Duration = Duration::from_millis(200);

/// How many rounds the scheduler has finished, also those in which it waited for the books.
pub type RoundCount = Arc<AtomicU64>;

/// What is to get on.
pub struct Watched {
    store: Store,
    pulse: Pulse,
    rounds: RoundCount,
    /// None where no jobs run.
    desk: Option<Arc<Desk>>,
    /// As of the last time that all was well.
    rounds_then: u64,
    taken_then: u64,
}

impl Watched {
    pub fn new(store: Store, rounds: RoundCount, desk: Option<Arc<Desk>>) -> Self {
        let pulse = store.pulse();
        Self { store, pulse, rounds, desk, rounds_then: 0, taken_then: 0 }
    }

    /// What has not moved since this was asked last and came out well.
    pub async fn hangs(&mut self) -> Option<&'static str> {
        let rounds = self.rounds.load(Ordering::SeqCst);
        if rounds == self.rounds_then {
            return Some("the scheduler finishes no round");
        }
        // Felt by a connection of its own: if that one is well and the others are not, it is they who hang.
        match self.pulse.feel().await {
            Err(StoreError::Silent { .. }) => return Some("the database does not answer"),
            Err(_) => {}
            Ok(()) => match timeout(ANSWER_MAX, self.store.refuse_changes()).await {
                Err(_) => return Some("the database does not answer"),
                // Around a copy nobody takes wakes.
                Ok(Err(StoreError::Fenced { .. })) => {}
                Ok(_) => {
                    if let Some(what) = self.queue_hangs().await {
                        return Some(what);
                    }
                }
            },
        }
        self.rounds_then = rounds;
        self.taken_then = self.desk.as_ref().map_or(0, |desk| desk.taken());
        None
    }

    async fn queue_hangs(&self) -> Option<&'static str> {
        let desk = self.desk.as_ref()?;
        let none_taken = desk.taken() == self.taken_then && desk.is_idle();
        match timeout(ANSWER_MAX, self.store.wakes_waiting()).await {
            Err(_) => Some("the queue does not answer"),
            Ok(Ok(waiting)) if waiting > 0 && none_taken => Some("nobody takes the wakes that wait in the queue"),
            Ok(_) => None,
        }
    }
}

/// Says each `interval` that all gets on, if it does.
pub async fn tell(interval: Duration, mut watched: Watched, notify: Notify) {
    let mut told = Seldom::default();
    loop {
        tokio::time::sleep(interval).await;
        while let Some(what) = watched.hangs().await {
            if told.is_time_for(what) {
                tracing::error!("{what}: the watchdog is not told that the daemon lives");
            }
            notify.status(&format!("hangs: {what}"));
            tokio::time::sleep(AGAIN).await;
        }
        told.all_is_over();
        notify.alive();
    }
}
