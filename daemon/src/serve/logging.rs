//! What the daemon says while it runs: on stderr, for the journal or for machines.

use std::any::Any;
use std::io::{self, IsTerminal};
use std::panic;

use anyhow::Context as _;
use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::{FormatFields as _, JsonFields};
use tracing_subscriber::layer::Context;
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
        let set = tracing_subscriber::registry().with(filter).with(FieldsForJson).with(lines).try_init();
        set.map_err(|error| anyhow::anyhow!("the log is set up already: {error}"))?;
        panic::set_hook(Box::new(|panicked| {
            let place = panicked.location().map(ToString::to_string);
            tracing::error!(place, "panicked: {}", message(panicked.payload()));
        }));
        Ok(Self(Box::new(move |log| {
            filter_handle.reload(self::filter(log)?)?;
            Ok(lines_handle.reload(self::lines(log))?)
        })))
    }

    pub fn change(&self, log: &Log) -> anyhow::Result<()> {
        (self.0)(log)
    }
}

/// Keeps each span's fields as the JSON format wants them: the format may be changed while a span goes on, and a span
/// that began under the other one would be unknown to it.
struct FieldsForJson;

impl<S> Layer<S> for FieldsForJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = FormattedFields::<JsonFields>::new(String::new());
        if JsonFields::new().format_fields(fields.as_writer(), attributes).is_ok() {
            span.extensions_mut().insert(fields);
        }
    }
}

/// In the log's own format, and with the run or the request that it happened in.
fn message(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
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
        // Under `spans`: the run, the account and the request that a line is of, from the outermost on.
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(true).boxed(),
    }
}
