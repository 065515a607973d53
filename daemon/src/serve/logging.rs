//! What the daemon says while it runs: on stderr, for the journal or for machines.

use std::io::{self, IsTerminal};

use anyhow::Context as _;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
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
        let (filter, filter_handle) = reload::Layer::new(filter(log)?);
        let (lines, lines_handle) = reload::Layer::new(lines(log));
        let set = tracing_subscriber::registry().with(filter).with(lines).try_init();
        set.map_err(|error| anyhow::anyhow!("the log is set up already: {error}"))?;
        Ok(Self(Box::new(move |log| {
            filter_handle.reload(self::filter(log)?)?;
            Ok(lines_handle.reload(self::lines(log))?)
        })))
    }

    pub fn change(&self, log: &Log) -> anyhow::Result<()> {
        (self.0)(log)
    }
}

fn filter(log: &Log) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(&log.filter).with_context(|| format!("log.filter: \"{}\"", log.filter))
}

fn lines<S>(log: &Log) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    }
}
