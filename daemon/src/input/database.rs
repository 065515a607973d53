//! The address of a database, as a command is given it.

use std::path::PathBuf;

/// What was given is wrong, and nothing was begun: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// The file of a `--database-url`.
pub fn database_path(url: &str) -> Result<PathBuf, BadInput> {
    store::database_path(url).map_err(|error| BadInput(format!("--database-url: {error}")))
}
