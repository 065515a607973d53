//! Asking on the terminal before something is done.

use std::io::{self, IsTerminal as _, Write as _};

use crate::input::BadInput;

/// Whether somebody says yes; nobody there to be asked is bad input: `--yes` says it beforehand.
pub fn confirmed(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(BadInput(format!("nobody is there to be asked \"{question}\": give --yes")).into());
    }
    print!("{question} [y/N] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
