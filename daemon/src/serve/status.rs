//! The daemon's state in a line, for `systemctl status`: what is next, what is late, what waits for an admin.

use std::sync::Arc;
use std::time::Duration;

use jobs::{JOBS, Registered, Wakes, next_slot};
use rules::Timestamp;
use store::{JobControl, Store, StoreError};

use crate::overdue;
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
    let controls = store.job_controls().await?;
    let (held, overdue) = (store.holds().await?.len(), overdue::count(store, &controls, now).await?);
    let is_paused = |job: &Registered| is_paused(&controls, job);
    let paused = JOBS.iter().filter(|job| is_paused(job)).count();
    let calendar = JOBS.iter().filter(|job| job.wakes == Wakes::Calendar && !is_paused(job));
    let next = calendar.filter_map(|job| Some((next_slot(job, now)?, job.name))).min_by_key(|(slot, _)| *slot);
    let next = next.map_or_else(|| "no run is next".to_owned(), |(slot, job)| format!("next run {job} at {slot}"));
    let paused = if paused == 0 { String::new() } else { format!("; {} paused", counted(paused, "job")) };
    Ok(format!("{next}; {overdue} overdue; {held} held{paused}"))
}

fn is_paused(controls: &[JobControl], job: &Registered) -> bool {
    controls.iter().any(|control| control.job == job.name && control.pause.is_some())
}
