//! The one word that ends everything in good order: work stops between two batches.

use std::sync::Arc;

use tokio::sync::watch;

/// Clones are the same stop; once asked for, it stays asked for.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it is asked for.
    pub async fn asked(&self) {
        // The sender lives as long as this does, so that waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_hears_it_also_late() {
        let stop = Stop::default();
        let other = stop.clone();
        assert!(!other.is_asked());
        stop.ask();
        other.asked().await;
        assert!(other.is_asked());
    }
}
