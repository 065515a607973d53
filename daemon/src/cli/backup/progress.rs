//! How far a long work is, on stderr, and only where somebody looks.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

const EACH: Duration = Duration::from_millis(200);

/// Shows what is going on until it ends.
pub struct Watched {
    bar: ProgressBar,
    looking: Option<JoinHandle<()>>,
}

impl Watched {
    /// A file that grows.
    pub fn file(path: PathBuf) -> Self {
        let mut watched = Self::work("copying");
        let bar = watched.bar.clone();
        watched.looking = (!bar.is_hidden()).then(|| {
            tokio::spawn(async move {
                loop {
                    let bytes = path.metadata().map_or(0, |file| file.len());
                    bar.set_message(format!("copying: {}", super::size(bytes)));
                    tokio::time::sleep(EACH).await;
                }
            })
        });
        watched
    }

    /// Something of which nobody knows how long it takes.
    pub fn work(what: &'static str) -> Self {
        if !io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), looking: None };
        }
        let bar = ProgressBar::new_spinner().with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(EACH);
        Self { bar, looking: None }
    }

    pub fn end(self) {}
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(looking) = &self.looking {
            looking.abort();
        }
        self.bar.finish_and_clear();
    }
}
