//! How the daemon does, for Prometheus: `/metrics`, on a listener of its own. It needs no key, so nothing in it names
//! anybody; and it answers whatever becomes of the database, for that is when it is asked.

mod books;
mod families;
mod page;
mod process;
mod requests;

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse as _;
use axum::routing::get;
use jobs::JOBS;
use rules::Timestamp;

pub use requests::Requests;

use crate::metrics::books::Books;
use crate::metrics::families as of;
use crate::metrics::page::{CONTENT_TYPE, Page};
use crate::serve::health::Health;

/// What is told, and who knows it.
pub struct Metrics {
    health: Arc<Health>,
    books: Books,
    requests: Arc<Requests>,
    started_at: Timestamp,
}

impl Metrics {
    pub fn of(health: Arc<Health>, requests: Arc<Requests>) -> Self {
        let (books, started_at) = (Books::of(health.office().clone()), health.office().clock.now());
        Self { health, books, requests, started_at }
    }

    pub fn router(self) -> Router {
        let metrics = Arc::new(self);
        let told = move || {
            let metrics = metrics.clone();
            async move { ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.page().await.text()).into_response() }
        };
        Router::new().route("/metrics", get(told))
    }

    async fn page(&self) -> Page {
        let mut page = Page::default();
        let office = self.health.office();
        let database = if office.store.is_shared() { "postgres" } else { "sqlite" };
        page.set(&of::BUILD_INFO, &[env!("CARGO_PKG_VERSION"), database, self.health.role().name()], 1);
        let is_up = self.health.database_problem().await.is_none();
        page.flag(&of::READY, &[], is_up && self.health.own_problems().is_empty());
        page.flag(&of::DATABASE_UP, &[], is_up);
        page.flag(&of::CLOCK_IN_DOUBT, &[], office.clock.trusted().is_err());
        self.books.tell(is_up, &mut page).await;
        self.tell_work(&mut page);
        self.requests.tell(&mut page);
        page.set(&of::STARTED, &[], self.started_at.secs());
        process::tell(&mut page);
        page
    }

    /// What this process did and has at hand.
    fn tell_work(&self, page: &mut Page) {
        let (meter, store) = (&self.health.office().meter, &self.health.office().store);
        for ((kind, currency), micros) in meter.moved() {
            page.set(&of::MONEY, &[kind, currency], micros);
        }
        let failures = meter.failures();
        for job in &JOBS {
            // Also 0: of a counter that appears with 1 nobody sees that it rose.
            page.set(&of::FAILURES, &[job.name], failures.get(job.name).copied().unwrap_or_default());
        }
        for (histogram, family) in [(&meter.runs, &of::RUN_SECONDS), (&meter.batches, &of::BATCH_SECONDS)] {
            for (job, observed) in histogram.read() {
                page.observed(family, &[job], &observed);
            }
        }
        for observed in meter.commits.read().values() {
            page.observed(&of::COMMIT_SECONDS, &[], observed);
        }
        for pool in store.connections() {
            let labels = [pool.role];
            page.set(&of::CONNECTIONS_OPEN, &labels, pool.open);
            page.set(&of::CONNECTIONS_IDLE, &labels, pool.idle);
            page.set(&of::CONNECTIONS_MOST, &labels, pool.most);
            page.set(&of::CONNECTIONS_WAITING, &labels, pool.waiting);
        }
    }
}
