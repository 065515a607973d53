//! What is looked after beside the work: the audit log's seals, and what requests leave behind.

use std::sync::Arc;
use std::time::Duration;

use jobs::{Office, Stopwatch};

use crate::http::Face;
use crate::serve::reach::Reach;
use crate::serve::seldom::Seldom;

const EACH: Duration = Duration::from_secs(1);

/// How often it is written which keys were used.
const KEEP: Duration = Duration::from_secs(60);

const SEALED_AT_ONCE: u32 = 1_000;

/// Goes on until it is ended.
pub async fn tend(office: Office, face: Option<Arc<Face>>, reach: Arc<Reach>) {
    let (mut kept, mut told) = (None::<Stopwatch>, Seldom::default());
    loop {
        tokio::time::sleep(EACH).await;
        if !reach.has_books() {
            continue;
        }
        let sealed = seal(&office).await;
        let is_time = kept.as_ref().is_none_or(|kept| kept.elapsed() >= KEEP);
        // By a clock in doubt nothing is forgotten.
        let after = match (&face, office.clock.trusted()) {
            (Some(face), Ok(now)) if is_time => face.keep(now).await,
            _ => Ok(()),
        };
        if is_time {
            kept = Some(Stopwatch::start());
        }
        for (what, done) in [("seals", sealed), ("requests", after)] {
            if let Err(error) = done
                && told.is_time_for(what)
            {
                tracing::warn!(%error, "cannot look after the {what}; trying again");
            }
        }
    }
}

/// All that waits, as long as whole batches of it do.
async fn seal(office: &Office) -> store::Result<()> {
    while office.store.audit_seal(SEALED_AT_ONCE).await? >= usize::try_from(SEALED_AT_ONCE).unwrap_or(usize::MAX) {}
    Ok(())
}
