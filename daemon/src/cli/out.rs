//! What commands print: results on stdout, all else on stderr. A reader that has seen enough, as in
//! `bursar accounts list | head`, ends the command quietly.

use std::fmt::Display;
use std::io::{self, Write as _};

use clap::ValueEnum;
use serde_json::Value;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    Table,
    Json,
}

impl Format {
    /// Prints what a command came to.
    pub fn print(self, json: &Value, text: &str) -> io::Result<()> {
        match self {
            Self::Json => say(format_args!("{json:#}")),
            Self::Table => say(text),
        }
    }
}

/// A line on stdout, at once. Never within a transaction: whoever reads may pause.
pub fn say(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// A line on stderr; where nobody listens there is nobody to tell.
pub fn tell(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether stdout's reader has gone away.
pub fn nobody_reads(error: &anyhow::Error) -> bool {
    let broken = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    error.chain().any(broken)
}
