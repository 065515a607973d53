//! What a daemon stands on, and whether it is there: the server of the books, and a queue that lies elsewhere. While
//! they don't answer nobody works nor tries to, and as soon as they do everybody goes on.

use std::sync::Arc;
use std::time::Duration;

use jobs::Stopwatch;
use store::{Pulse, Store, StoreError};
use tokio::sync::watch;

use crate::serve::seldom::Seldom;

const EACH: Duration = Duration::from_secs(1);

/// What does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Lost {
    books: bool,
    queue: bool,
}

#[derive(Debug, Default)]
pub struct Reach(watch::Sender<Lost>);

impl Reach {
    pub fn has_books(&self) -> bool {
        !self.0.borrow().books
    }

    /// Returns when the books are out of reach.
    pub async fn books_lost(&self) {
        self.when(|lost| lost.books).await;
    }

    /// Returns when something is out of reach.
    pub async fn any_lost(&self) {
        self.when(|lost| lost != Lost::default()).await;
    }

    /// Returns when nothing is.
    pub async fn all_there(&self) {
        self.when(|lost| lost == Lost::default()).await;
    }

    async fn when(&self, is_so: impl Fn(Lost) -> bool) {
        // Who tells is kept here: it is never gone.
        let _ = self.0.subscribe().wait_for(|lost| is_so(*lost)).await;
    }

    /// Feels for all of it each second, and says what is lost and found.
    pub async fn feel(self: Arc<Self>, store: Store) {
        let mut pulse = store.pulse();
        let (mut books, mut queue) = (Ground::of("database"), Ground::of("queue's Redis"));
        loop {
            let (felt, answers) = tokio::join!(Pulse::feel(&mut pulse), store.queue_answers());
            let lost = Lost { books: books.is_lost(felt), queue: queue.is_lost(answers) };
            self.0.send_if_modified(|before| std::mem::replace(before, lost) != lost);
            tokio::time::sleep(EACH).await;
        }
    }
}

/// One of the two, and since when it is gone.
struct Ground {
    what: &'static str,
    gone: Option<Stopwatch>,
    told: Seldom,
}

impl Ground {
    fn of(what: &'static str) -> Self {
        Self { what, gone: None, told: Seldom::default() }
    }

    fn is_lost(&mut self, felt: Result<(), StoreError>) -> bool {
        let what = self.what;
        match felt {
            Err(error) => {
                let for_s = self.gone.get_or_insert_with(Stopwatch::start).elapsed().as_secs();
                if self.told.is_time_for(what) {
                    tracing::error!(for_s, %error, "the {what} does not answer: work waits for it");
                }
            }
            Ok(()) => {
                self.told.all_is_over();
                if let Some(gone) = self.gone.take() {
                    tracing::warn!(after_s = gone.elapsed().as_secs(), "the {what} answers again");
                }
            }
        }
        self.gone.is_some()
    }
}
