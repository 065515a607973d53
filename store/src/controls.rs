//! What admins say about jobs: which are paused, and since when their slots count.

use rules::{DueKind, Timestamp};

use crate::cells::{Cells, Problem};
use crate::sql::{self, Row};
use crate::{Result, Store, StoreError};

/// What is known of a job beside its runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobControl {
    pub job: String,
    /// What it looks for; while it is paused, accounts with such work due wait.
    pub due_kind: Option<DueKind>,
    /// The schedule that its slots are counted by, and since when it is.
    pub cron: String,
    pub cron_since: Timestamp,
    /// Slots up to this second open no run by themselves.
    pub slots_after: Timestamp,
    pub pause: Option<Pause>,
}

impl JobControl {
    pub const fn is_paused(&self) -> bool {
        self.pause.is_some()
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pause {
    pub at: Timestamp,
    pub by: String,
    pub reason: String,
}

/// A job with its cron line, and what it looks for.
pub type Schedule<'a> = (&'a str, &'a str, Option<DueKind>);

const CONTROLS: &str = "select job, due_kind, cron, cron_since, slots_after, paused_at, paused_by, pause_reason
    from job_controls order by job";

impl Store {
    /// Every job that was ever enrolled.
    pub async fn job_controls(&self) -> Result<Vec<JobControl>> {
        let rows = sql::query(CONTROLS).fetch_all(self.readers()).await?;
        rows.iter().map(read).collect()
    }

    /// Makes jobs known with their schedules. A new one's slots count from the beginning; an edited schedule's
    /// from now on: what the old one missed is not the new one's. Answers the jobs whose schedule was edited.
    pub async fn jobs_enrol(&self, jobs: &[Schedule<'_>], now: Timestamp) -> Result<Vec<String>> {
        let mut transaction = self.write().await?;
        let mut edited = Vec::new();
        for (job, cron, due_kind) in jobs {
            let changed = sql::query(
                "update job_controls set cron = $2, cron_since = $3, slots_after = $3 where job = $1 and cron <> $2",
            )
            .bind(*job)
            .bind(*cron)
            .bind(now.secs())
            .execute(&mut transaction)
            .await?;
            if changed == 1 {
                edited.push((*job).to_owned());
            }
            sql::query(
                "insert into job_controls (job, cron, cron_since, slots_after, due_kind) values ($1, $2, $3, $3, $4)
                on conflict (job) do update set due_kind = excluded.due_kind",
            )
            .bind(*job)
            .bind(*cron)
            .bind(Timestamp::BEGINNING.secs())
            .bind(due_kind.map(DueKind::name))
            .execute(&mut transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(edited)
    }

    /// Pauses a job; false if it is paused already, or not known.
    pub async fn job_pause(&self, job: &str, by: &str, reason: &str, now: Timestamp) -> Result<bool> {
        let mut transaction = self.write().await?;
        let paused = sql::query(
            "update job_controls set paused_at = $2, paused_by = $3, pause_reason = $4
            where job = $1 and paused_at is null",
        )
        .bind(job)
        .bind(now.secs())
        .bind(by)
        .bind(reason)
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(paused == 1)
    }

    /// Takes a job back into work; false if it was not paused. Slots up to now open no run any more by
    /// themselves: the next one's run covers them.
    pub async fn job_resume(&self, job: &str, now: Timestamp) -> Result<bool> {
        let mut transaction = self.write().await?;
        let resumed = sql::query(
            "update job_controls set paused_at = null, paused_by = null, pause_reason = null, slots_after = $2
            where job = $1 and paused_at is not null",
        )
        .bind(job)
        .bind(now.secs())
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(resumed == 1)
    }
}

fn read(row: &Row) -> Result<JobControl> {
    let read = |cells: &mut Cells<'_>| -> std::result::Result<JobControl, Problem> {
        let (job, due_kind, cron) = (cells.text()?, cells.maybe_text()?, cells.text()?);
        let due_kind = DueKind::ALL.into_iter().find(|known| Some(known.name()) == due_kind.as_deref());
        let (cron_since, slots_after) = (cells.time_or_beginning()?, cells.time_or_beginning()?);
        let (at, by, reason) = (cells.maybe_time()?, cells.maybe_text()?, cells.maybe_text()?);
        let pause = at.zip(by).zip(reason).map(|((at, by), reason)| Pause { at, by, reason });
        Ok(JobControl { job, due_kind, cron, cron_since, slots_after, pause })
    };
    read(&mut Cells::of(row)).map_err(|problem| StoreError::CorruptTable { table: "job_controls", problem })
}
