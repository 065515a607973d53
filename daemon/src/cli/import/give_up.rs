//! `bursar import NAME --give-up`: the rest of an import that cannot go on is not to come.

use std::path::Path;

use jobs::Clock;
use serde_json::{Value, json};
use store::{GivenUp, Import, Store};

use super::{HASH_START, ImportArgs};
use crate::cli::ask::confirmed;
use crate::cli::author::author;
use crate::cli::books::{Refused, refuse_doubted_clock};
use crate::cli::out::say;
use crate::cli::{DONE, FAILED, Format};
use crate::import::Source;
use crate::input::BadInput;

pub async fn run(args: &ImportArgs, reason: &str) -> anyhow::Result<u8> {
    let store = args.books.store_for_changes().await?;
    let ended = decide(&store, args, reason).await;
    store.close().await;
    let (import, outcome) = ended?;
    args.format.print(&told_json(&import, outcome), &told(&import, outcome))?;
    Ok(if outcome == Outcome::Kept { FAILED } else { DONE })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    GivenUp,
    /// It was given up before.
    NothingChanges,
    /// Who was asked said no.
    Kept,
}

async fn decide(store: &Store, args: &ImportArgs, reason: &str) -> anyhow::Result<(Import, Outcome)> {
    refuse_doubted_clock(store).await?;
    let same = Source::of(&args.file).ok().map(|source| source.hash);
    let import = find(store.imports().await?, &args.file, same.as_deref())?;
    if import.is_unfinished() {
        // Who is asked sees it first.
        if args.format == Format::Table {
            say(at_stake(&import))?;
        }
        if !args.yes && !confirmed("Give it up?")? {
            return Ok((import, Outcome::Kept));
        }
    }
    let now = GivenUp { at: Clock::system().now(), by: author(), reason: reason.to_owned() };
    give_up(store, &import, &now).await
}

/// Gives it up, unless that was done before or it came to its end.
async fn give_up(store: &Store, import: &Import, given_up: &GivenUp) -> anyhow::Result<(Import, Outcome)> {
    let is_new = store.import_give_up(&import.hash, given_up).await?;
    let import = store.import(&import.hash).await?.unwrap_or_else(|| import.clone());
    if let Some(finished_at) = import.finished_at {
        let why = format!("{} was brought in whole at {finished_at}: there is nothing to give up", import.file);
        return Err(Refused { code: "import_is_finished", why }.into());
    }
    Ok((import, if is_new { Outcome::GivenUp } else { Outcome::NothingChanges }))
}

/// The import of what stands in the file now, whose hash is `same`. If there is none: the one of a file that was given
/// by this name, or else by one that ends in it, or with a hash that begins so; one that may go on comes before those
/// that ended.
fn find(imports: Vec<Import>, name: &Path, same: Option<&str>) -> Result<Import, BadInput> {
    if let Some(import) = imports.iter().find(|import| same == Some(&import.hash)) {
        return Ok(import.clone());
    }
    let text = name.display().to_string();
    let is_given = |import: &Import| Path::new(&import.file) == name;
    let is_named = |import: &Import| {
        let by_hash = text.len() >= HASH_START && import.hash.starts_with(&text);
        by_hash || Path::new(&import.file).file_name() == Some(name.as_os_str())
    };
    let open = || imports.iter().filter(|import| import.is_unfinished());
    let tiers: [Vec<&Import>; 4] = [
        open().filter(|import| is_given(import)).collect(),
        imports.iter().filter(|import| is_given(import)).collect(),
        open().filter(|import| is_named(import)).collect(),
        imports.iter().filter(|import| is_named(import)).collect(),
    ];
    let named = tiers.into_iter().find(|named| !named.is_empty()).unwrap_or_default();
    match named.as_slice() {
        [import] => Ok((*import).clone()),
        [] if open().next().is_none() => {
            Err(BadInput(format!("file `{text}`: no import of it was begun, and none is unfinished")))
        }
        [] => Err(BadInput(format!(
            "file `{text}`: no import of it was begun; those that are not finished: {}",
            listed(open())
        ))),
        several => Err(BadInput(format!(
            "file `{text}`: several imports are named so; give the start of one's hash: {}",
            listed(several.iter().copied())
        ))),
    }
}

/// What is given up: whose, and how far it came.
fn at_stake(import: &Import) -> String {
    let Import { author, at, up_to, accounts, .. } = import;
    format!(
        "The import of {}, begun by {author} as of {at}: {up_to} of its {accounts} accounts are in the books.\n\
         To give it up is for good: the same file is refused from then on.\n\
         What is in the books stays, with the next numbers of series and the plans of its own that it began with.",
        listed([import].into_iter())
    )
}

/// As in `move.jsonl (0123456789ab)`.
fn listed<'a>(imports: impl Iterator<Item = &'a Import>) -> String {
    let each = imports.map(|import| format!("{} ({})", import.file, import.hash.get(..HASH_START).unwrap_or_default()));
    each.collect::<Vec<_>>().join(", ")
}

fn told_json(import: &Import, outcome: Outcome) -> Value {
    let given_up = import.given_up.as_ref();
    json!({
        "file": import.file,
        "hash": import.hash,
        "outcome": match outcome {
            Outcome::GivenUp => "given_up",
            Outcome::NothingChanges => "nothing_changes",
            Outcome::Kept => "kept",
        },
        "as_of": import.at.to_string(),
        "accounts": import.accounts,
        "there": import.up_to,
        "given_up_at": given_up.map(|given_up| given_up.at.to_string()),
        "given_up_by": given_up.map(|given_up| &given_up.by),
        "reason": given_up.map(|given_up| &given_up.reason),
    })
}

fn told(import: &Import, outcome: Outcome) -> String {
    let Import { file, up_to, accounts, .. } = import;
    match (outcome, import.given_up.as_ref()) {
        (Outcome::GivenUp, _) => {}
        (Outcome::NothingChanges, Some(GivenUp { at, by, reason })) => {
            return format!("The import of {file} was given up at {at} by {by}: {reason}. Nothing changes.");
        }
        (Outcome::NothingChanges | Outcome::Kept, _) => return "Nothing was given up.".to_owned(),
    }
    let there = match *up_to {
        0 => "none of its accounts came in".to_owned(),
        _ => format!(
            "the first {up_to} of its {accounts} accounts are in the books and stay there, and are billed like all \
             others.\nOne that should not be here: cancel what it has, then `bursar accounts close NAME`"
        ),
    };
    format!(
        "The import of {file} is given up: {there}.\nThe next numbers that it gave to series and the plans of its own \
         stay too.\nThe others may come in a file of their own, with its own totals."
    )
}

#[cfg(test)]
mod tests {
    use rules::Timestamp;

    use super::*;

    fn import(hash: &str, file: &str, finished_at: Option<Timestamp>) -> Import {
        let (hash, file, author) = (hash.repeat(64 / hash.len()), file.to_owned(), "ann".to_owned());
        let up_to = if finished_at.is_some() { 2 } else { 1 };
        let at = Timestamp::BEGINNING;
        Import { hash, file, author, at, accounts: 2, up_to, finished_at, given_up: None }
    }

    #[test]
    fn an_import_is_named_by_its_file_or_its_hash() {
        let done = Some(Timestamp::BEGINNING);
        let imports = || {
            vec![
                import("ab", "/tmp/move.jsonl", None),
                import("ac", "other/move.jsonl", None),
                import("1a", "old.jsonl", done),
                import("1b", "old.jsonl", None),
                import("1c", "done.jsonl", done),
                import("1d", "new.jsonl", done),
                import("1e", "other/new.jsonl", None),
            ]
        };
        let found = |name: &str, same: Option<&str>| {
            let same = same.map(|same| same.repeat(32));
            find(imports(), Path::new(name), same.as_deref()).map(|import| import.hash[..2].to_owned())
        };
        for (name, same, hash) in [
            ("/tmp/move.jsonl", None, "ab"),
            ("other/move.jsonl", None, "ac"),
            ("acacacacacac", None, "ac"),
            ("old.jsonl", None, "1b"),
            ("1a1a1a1a1a1a", None, "1a"),
            ("done.jsonl", None, "1c"),
            // Of two that are named so, the one that is named by all of its name.
            ("new.jsonl", None, "1d"),
            // What is in a file that is there goes before every name.
            ("new.jsonl", Some("ac"), "ac"),
            ("move.jsonl", Some("1c"), "1c"),
            ("new.jsonl", Some("ff"), "1d"),
        ] {
            assert_eq!(found(name, same).map_err(|problem| problem.0), Ok(hash.to_owned()), "{name} {same:?}");
        }
        for (name, told) in [
            (
                "move.jsonl",
                "several imports are named so; give the start of one's hash: /tmp/move.jsonl (abababababab), \
                 other/move.jsonl (acacacacacac)",
            ),
            ("a", "those that are not finished: /tmp/move.jsonl (abababababab), "),
            ("acacacacaca", "no import of it was begun"),
            ("none.jsonl", "those that are not finished: /tmp/move.jsonl (abababababab), "),
        ] {
            let refused = found(name, None).expect_err("refused").0;
            assert!(refused.starts_with(&format!("file `{name}`: ")) && refused.contains(told), "{refused}");
        }
        let none = find(Vec::new(), Path::new("move.jsonl"), None).expect_err("refused").0;
        assert_eq!(none, "file `move.jsonl`: no import of it was begun, and none is unfinished");
    }
}
