//! What is told of the books, read from them at most once in some seconds, however often it is asked for.

use std::sync::Arc;
use std::time::Duration;

use jobs::{Office, Stopwatch};
use rules::{DueKind, Timestamp};
use store::{Backlog, Store, StoreError};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::Instrument as _;

use crate::lookout::Lookout;
use crate::metrics::families as of;
use crate::metrics::families::Family;
use crate::metrics::page::Page;

/// What was read is told for so long.
const KEPT: Duration = Duration::from_secs(5);

/// A look that takes longer is given up: with the health check before it, a scrape ends within ten seconds, which is
/// as long as Prometheus waits.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// What was read last, and how that came out.
pub struct Books {
    office: Office,
    read: Mutex<Option<(Stopwatch, Read)>>,
}

/// None of what could not be read.
#[derive(Clone)]
struct Read {
    seen: Option<Arc<Seen>>,
    wakes: Option<u64>,
}

struct Seen {
    lookout: Lookout,
    due: Vec<(DueKind, Backlog)>,
    last_alive: Option<Timestamp>,
    clock_doubts: usize,
    parked: Backlog,
    intents: Backlog,
    receipts: Backlog,
    documents: Backlog,
    audit: Backlog,
}

impl Books {
    pub fn of(office: Office) -> Self {
        Self { office, read: Mutex::new(None) }
    }

    /// Tells what is known; nothing of books that do not answer.
    pub async fn tell(&self, is_up: bool, page: &mut Page) {
        if !is_up {
            page.flag(&of::BOOKS_READ, &[], false);
            return;
        }
        let Read { seen, wakes } = self.read().await;
        page.flag(&of::BOOKS_READ, &[], seen.is_some());
        if let Some(seen) = seen {
            seen.tell(page);
        }
        page.flag(&of::QUEUE_UP, &[], wakes.is_some());
        if let Some(wakes) = wakes {
            page.set(&of::WAKES, &[], wakes);
        }
    }

    /// One at a time looks; who comes meanwhile gets what it found.
    async fn read(&self) -> Read {
        let mut kept = self.read.lock().await;
        if let Some((since, read)) = &*kept
            && since.elapsed() < KEPT
        {
            return read.clone();
        }
        let (store, now) = (&self.office.store, self.office.clock.now());
        let look = timeout(LOOK_MAX, look(store, now).instrument(tracing::error_span!("scrape")));
        let (seen, wakes) = tokio::join!(look, timeout(LOOK_MAX, store.wakes_waiting()));
        let seen = match seen {
            Ok(Ok(seen)) => Some(Arc::new(seen)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the books cannot be read for the metrics");
                None
            }
            Err(_) => {
                tracing::warn!(after_s = LOOK_MAX.as_secs(), "the books take too long to be read for the metrics");
                None
            }
        };
        let read = Read { seen, wakes: wakes.ok().and_then(Result::ok) };
        *kept = Some((Stopwatch::start(), read.clone()));
        read
    }
}

async fn look(store: &Store, now: Timestamp) -> Result<Seen, StoreError> {
    let lookout = Lookout::look(store, now).await?;
    let mut due = Vec::new();
    for kind in DueKind::ALL {
        let backlog = match kind {
            // What is due by the day has no index: the runs know how far they came.
            DueKind::Daily => lookout.backlog(kind),
            _ => store.due_backlog(kind, now).await?,
        };
        due.push((kind, backlog));
    }
    Ok(Seen {
        lookout,
        due,
        last_alive: store.last_alive().await?,
        clock_doubts: store.clock_doubts().await?.len(),
        parked: store.parked_backlog().await?,
        intents: store.intents_backlog().await?,
        receipts: store.receipts_backlog().await?,
        documents: store.documents_backlog().await?,
        audit: store.audit_backlog().await?,
    })
}

impl Seen {
    fn tell(&self, page: &mut Page) {
        if let Some(at) = self.last_alive {
            page.set(&of::LAST_ALIVE, &[], at.secs());
        }
        page.set(&of::CLOCK_DOUBTS, &[], self.clock_doubts);
        self.tell_jobs(page);
        for (kind, backlog) in &self.due {
            let labels = [kind.name()];
            tell_backlog(page, (&of::ACCOUNTS_DUE, &of::ACCOUNTS_DUE_OLDEST), &labels, *backlog);
            page.flag(&of::KEPT_BACK, &labels, self.lookout.keeps_back(*kind));
        }
        tell_backlog(page, (&of::PARKED, &of::PARKED_OLDEST), &[], self.parked);
        tell_backlog(page, (&of::INTENTS, &of::INTENTS_OLDEST), &[], self.intents);
        tell_backlog(page, (&of::RECEIPTS, &of::RECEIPTS_OLDEST), &[], self.receipts);
        tell_backlog(page, (&of::DOCUMENTS, &of::DOCUMENTS_OLDEST), &[], self.documents);
        tell_backlog(page, (&of::AUDIT, &of::AUDIT_OLDEST), &[], self.audit);
    }

    fn tell_jobs(&self, page: &mut Page) {
        for state in &self.lookout.jobs {
            let (name, labels) = (state.job.name, [state.job.name]);
            if let Some(at) = state.last_success {
                page.set(&of::JOB_LAST_SUCCESS, &labels, at.secs());
            }
            if let Some(slot) = state.missing_slot {
                page.set(&of::JOB_MISSED_SLOT, &labels, slot.secs());
            }
            page.flag(&of::JOB_FAILED, &labels, state.failed.is_some());
            page.flag(&of::JOB_PAUSED, &labels, state.pause.is_some());
            let held = self.lookout.holds.iter().filter(|hold| hold.job == name).count();
            page.set(&of::RUNS_HELD, &labels, held);
            let unattended = self.lookout.unattended().filter(|unfinished| unfinished.run.job == name).count();
            page.set(&of::RUNS_UNATTENDED, &labels, unattended);
        }
    }
}

fn tell_backlog(
    page: &mut Page,
    (count, oldest): (&'static Family, &'static Family),
    labels: &[&str],
    backlog: Backlog,
) {
    page.set(count, labels, backlog.count);
    if let Some(at) = backlog.oldest {
        page.set(oldest, labels, at.secs());
    }
}
