//! The daemon's state in a line, for `systemctl status`: what is next, what is late, what waits for an admin.

use std::sync::Arc;
use std::time::Duration;

use jobs::{Wakes, next_slot};
use rules::Timestamp;
use store::{Store, StoreError};

use crate::lookout::Lookout;
use crate::serve::health::Health;
use crate::serve::notify::Notify;
use crate::tables::counted;

const EACH: Duration = Duration::from_secs(10);
const EACH_AT_START: Duration = Duration::from_millis(500);

/// Tells it to systemd as often as it may have changed.
pub async fn tell(health: Arc<Health>, notify: Notify) {
    loop {
        let problems = health.problems().await;
        let line = match problems.is_empty() {
            true => match of(&health.office().store, health.office().clock.now()).await {
                Ok(line) => line,
                Err(error) => format!("not ready: {error}"),
            },
            false => format!("not ready: {}", problems.join("; ")),
        };
        // Before it is ready nothing else is told of it.
        notify.status(&line);
        tokio::time::sleep(if notify.is_ready() { EACH } else { EACH_AT_START }).await;
    }
}

pub async fn of(store: &Store, now: Timestamp) -> Result<String, StoreError> {
    let lookout = Lookout::look(store, now).await?;
    let (held, overdue) = (lookout.holds.len(), lookout.overdue());
    let paused = lookout.jobs.iter().filter(|state| state.pause.is_some()).count();
    let calendar = lookout.jobs.iter().filter(|state| state.job.wakes == Wakes::Calendar && state.pause.is_none());
    let next = calendar.filter_map(|state| Some((next_slot(state.job, now)?, state.job.name)));
    let next = next.min_by_key(|(slot, _)| *slot);
    let next = next.map_or_else(|| "no run is next".to_owned(), |(slot, job)| format!("next run {job} at {slot}"));
    let paused = if paused == 0 { String::new() } else { format!("; {} paused", counted(paused, "job")) };
    Ok(format!("{next}; {overdue} overdue; {held} held{paused}"))
}
