//! The address of a database, as a command is given it.

use store::Address;

/// What was given is wrong, and nothing was begun: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

impl BadInput {
    /// The argument that is wrong, where the text begins with it: `--from 2027-01-01: …`, ``account `eve`: …``.
    pub fn field(&self) -> Option<&str> {
        let (front, _) = self.0.split_once(": ")?;
        let (name, value) = front.split_once(' ').unwrap_or((front, ""));
        match name.strip_prefix("--") {
            Some(flag) => Some(flag),
            None => Some(name).filter(|_| value.starts_with('`') || value.parse::<i64>().is_ok()),
        }
    }
}

/// The place that a `--database-url` names. A password has no place in it: every user of the machine reads the
/// arguments of every program.
pub fn database_address(url: &str) -> Result<Address, BadInput> {
    if store::has_password(url) {
        return Err(BadInput(
            "--database-url: leave the password out, others can read it there: write it into ~/.pgpass, or into \
            the `database_password_file` of the configuration"
                .to_owned(),
        ));
    }
    Address::parse(url).map_err(|error| BadInput(format!("--database-url: {error}")))
}
