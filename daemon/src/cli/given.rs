//! The command that was given, for the audit log: which it is and what it is about, and nothing else of what was typed.

use std::sync::{Arc, OnceLock};

use clap::ArgMatches;
use store::{NewNote, Note, Store};

use crate::cli::author::author;
use crate::http::secrets::random_hex;

/// Arguments that name what a command is about.
const SUBJECTS: [&str; 8] = ["name", "account", "service", "id", "which", "key", "month", "file"];

static GIVEN: OnceLock<(String, String)> = OnceLock::new();

/// Keeps it, as in `accounts adjust` and `ann`.
pub fn keep(matches: &ArgMatches) {
    let (mut words, mut inner) = (Vec::new(), matches);
    while let Some((word, deeper)) = inner.subcommand() {
        words.push(word);
        inner = deeper;
    }
    let subject = |id: &&str| inner.try_get_raw(id).ok().flatten()?.next()?.to_str();
    let subjects: Vec<&str> = SUBJECTS.iter().filter_map(subject).collect();
    // A process is one command.
    let _ = GIVEN.set((words.join(" "), subjects.join(" ")));
}

/// The same books, in whose audit log the command is written with the first change that it makes.
pub fn noting(store: &Store) -> anyhow::Result<Store> {
    let (action, object) = GIVEN.get().cloned().unwrap_or_default();
    noting_as(store, action, object)
}

/// The same under another name.
pub fn noting_as(store: &Store, action: String, object: String) -> anyhow::Result<Store> {
    let (request, at, actor) = (random_hex(16)?, ::jobs::Clock::system().now(), author());
    let note = Note::new(NewNote { request, at, actor, action, object, account: None, repeatable: None });
    Ok(store.noting(Arc::new(note)))
}
