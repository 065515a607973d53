//! What is wrong in a document, and where.

use std::fmt;

/// Where something stands in a document, as far as that is known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    pub line: Option<usize>,
    pub column: Option<usize>,
    /// Of a scenario's timeline; the first is 1.
    pub entry: Option<usize>,
    /// The path of keys to it, from the document or from the timeline's entry: `plans[0].price`.
    pub key: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub file: String,
    pub place: Place,
    pub message: String,
}

/// `config/prices/vps.toml:12: plans[0].price: "-1": a price is …`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for number in [self.place.line, self.place.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        if let Some(entry) = self.place.entry {
            write!(f, ": entry {entry}")?;
        }
        if !self.place.key.is_empty() {
            write!(f, ": {}", self.place.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// All that is wrong in one or more documents; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Ok` of what was read, if nothing is wrong with it.
    pub fn checked<T>(problems: Vec<Problem>, read: Option<T>) -> Result<T, Self> {
        match read {
            Some(read) if problems.is_empty() => Ok(read),
            _ => Err(Self(problems)),
        }
    }

    /// A whole file that can't be read.
    pub fn of_file(file: String, message: String) -> Self {
        Self(vec![Problem { file, place: Place::default(), message }])
    }

    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// The first one, and how many more there are.
    pub fn headline(&self) -> String {
        match self.0.as_slice() {
            [] => "no problem".to_owned(),
            [only] => only.to_string(),
            [first, rest @ ..] => format!("{first}; and {} more", rest.len()),
        }
    }

    /// What is wrong, if that is one thing.
    pub fn field(&self) -> Option<&str> {
        match self.0.as_slice() {
            [only] => Some(only.place.key.as_str()).filter(|key| !key.is_empty()),
            _ => None,
        }
    }

    pub fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

impl From<Vec<Problem>> for Problems {
    fn from(problems: Vec<Problem>) -> Self {
        Self(problems)
    }
}

/// One on each line, and at the end how many.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        match self.0.len() {
            1 => f.write_str("1 problem"),
            count => write!(f, "{count} problems"),
        }
    }
}

impl std::error::Error for Problems {}
