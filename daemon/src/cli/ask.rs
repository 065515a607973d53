//! Asking on the terminal before something is done.

use std::io::{self, IsTerminal as _};

use crate::cli::out::tell;
use crate::input::BadInput;

/// Whether somebody says yes; nobody there to be asked is bad input: `--yes` says it beforehand.
pub fn confirmed(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(BadInput(format!("nobody is there to be asked \"{question}\": give --yes")).into());
    }
    tell(format_args!("{question} [y/N]"));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
