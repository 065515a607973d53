//! What the daemon says while it runs: on stderr, for the journal or for machines.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, reload};

use crate::input::{Log, LogFormat};

type Change = dyn Fn(&Log) -> anyhow::Result<()> + Send + Sync;

/// The log, whose filter and format can be changed while it is written.
pub struct Logging(Box<Change>);

impl Logging {
    /// Sets up the log; once in a program.
    pub fn init(log: &Log) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(filter(log)?);
        let lines = Lines::of(log.format, io::stderr, io::stderr().is_terminal());
        let in_json = lines.in_json.clone();
        let set = tracing_subscriber::registry().with(filter).with(lines).try_init();
        set.map_err(|error| anyhow::anyhow!("the log is set up already: {error}"))?;
        Ok(Self(Box::new(move |log| {
            handle.reload(self::filter(log)?)?;
            in_json.store(log.format == LogFormat::Json, Ordering::SeqCst);
            Ok(())
        })))
    }

    pub fn change(&self, log: &Log) -> anyhow::Result<()> {
        (self.0)(log)
    }
}

fn filter(log: &Log) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(&log.filter).with_context(|| format!("log.filter: \"{}\"", log.filter))
}

type Written<S> = Box<dyn Layer<S> + Send + Sync>;

/// Writes lines in one format or the other. Both hear of all spans: one that began before the format changed is still
/// told after it.
struct Lines<S> {
    text: Written<S>,
    json: Written<S>,
    in_json: Arc<AtomicBool>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Lines<S> {
    fn of<W>(format: LogFormat, writer: W, with_ansi: bool) -> Self
    where
        W: for<'w> MakeWriter<'w> + Clone + Send + Sync + 'static,
    {
        let lines = || tracing_subscriber::fmt::layer().with_writer(writer.clone());
        let text = lines().with_ansi(with_ansi).with_target(false).boxed();
        // Under `spans`: the run, the account and the request that a line is of, from the outermost on.
        let json = lines().json().flatten_event(true).with_current_span(false).with_span_list(true).boxed();
        Self { text, json, in_json: Arc::new(AtomicBool::new(format == LogFormat::Json)) }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines<S> {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.text.on_new_span(attributes, id, context.clone());
        self.json.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.text.on_record(id, values, context.clone());
        self.json.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let lines = if self.in_json.load(Ordering::SeqCst) { &self.json } else { &self.text };
        lines.on_event(event, context);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_began_in_one_format_is_told_in_the_other() {
        let page = Page::default();
        let writer = page.clone();
        let lines = Lines::of(LogFormat::Text, move || writer.clone(), false);
        let in_json = lines.in_json.clone();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let _run = tracing::error_span!("run", run = 7).entered();
            let _account = tracing::error_span!("account", account = 1).entered();
            for format in [false, true, false] {
                in_json.store(format, Ordering::SeqCst);
                tracing::info!(as_json = format, "told");
            }
        });
        let text = String::from_utf8(page.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).expect("UTF-8");
        let lines: Vec<&str> = text.lines().collect();
        let [before, json, after] = lines.as_slice() else { panic!("{text}") };
        for line in [before, after] {
            assert!(line.contains("run{run=7}:account{account=1}: told as_json=false"), "{line}");
        }
        let json: serde_json::Value = serde_json::from_str(json).expect(json);
        assert_eq!((&json["spans"][0]["run"], &json["spans"][1]["account"]), (&7.into(), &1.into()));
    }
}
