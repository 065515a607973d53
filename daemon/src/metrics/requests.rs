//! Requests, counted as they are answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use jobs::{Histogram, Stopwatch};

use crate::http::AnswerTo;
use crate::metrics::families::{REQUEST_SECONDS, REQUESTS};
use crate::metrics::page::Page;

/// What is no operation: health checks, and paths that there are not, however many.
const OTHER: &str = "other";

#[derive(Debug)]
pub struct Requests {
    /// By operation and status.
    answers: Mutex<BTreeMap<(&'static str, u16), u64>>,
    took: Histogram,
}

impl Default for Requests {
    fn default() -> Self {
        Self { answers: Mutex::default(), took: Histogram::short() }
    }
}

impl Requests {
    /// The same routes, whose answers are counted.
    pub fn counting(self: Arc<Self>, router: Router) -> Router {
        router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let requests = self.clone();
            async move {
                let began = Stopwatch::start();
                let response = next.run(request).await;
                requests.answered(&response, began);
                response
            }
        }))
    }

    fn answered(&self, response: &Response, began: Stopwatch) {
        let operation = response.extensions().get::<AnswerTo>().map_or(OTHER, |of| of.0);
        self.took.observe(operation, began.elapsed());
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry((operation, response.status().as_u16())).or_default() += 1;
    }

    pub fn tell(&self, page: &mut Page) {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for ((operation, status), count) in answers {
            page.set(&REQUESTS, &[operation, &status.to_string()], count);
        }
        for (operation, observed) in self.took.read() {
            page.observed(&REQUEST_SECONDS, &[operation], &observed);
        }
    }
}
