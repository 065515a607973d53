//! `bursar import NAME --give-up`: the rest of an import that cannot go on is not to come.

use std::path::Path;

use jobs::Clock;
use serde_json::{Value, json};
use store::{GivenUp, Import, Store};

use super::{HASH_START, ImportArgs};
use crate::cli::DONE;
use crate::cli::author::author;
use crate::cli::books::{Refused, refuse_doubted_clock};
use crate::import::Source;
use crate::input::BadInput;

pub async fn run(args: &ImportArgs, reason: &str) -> anyhow::Result<u8> {
    let store = args.books.store().await?;
    refuse_doubted_clock(&store).await?;
    let same = Source::of(&args.file).ok().map(|source| source.hash);
    let import = find(store.imports().await?, &args.file, same.as_deref())?;
    let now = GivenUp { at: Clock::system().now(), by: author(), reason: reason.to_owned() };
    let ended = give_up(&store, &import, &now).await;
    store.close().await;
    let (import, is_new) = ended?;
    args.format.print(&told_json(&import, is_new), &told(&import, is_new))?;
    Ok(DONE)
}

/// Gives it up, unless that was done before or it came to its end; the import, and whether this gave it up.
async fn give_up(store: &Store, import: &Import, given_up: &GivenUp) -> anyhow::Result<(Import, bool)> {
    let is_new = store.import_give_up(&import.hash, given_up).await?;
    let import = store.import(&import.hash).await?.unwrap_or_else(|| import.clone());
    if let Some(finished_at) = import.finished_at {
        let why = format!("{} was brought in whole at {finished_at}: there is nothing to give up", import.file);
        return Err(Refused { code: "import_is_finished", why }.into());
    }
    Ok((import, is_new))
}

/// The import that is named by its file, as it was given or by the last part of that, or by the start of its hash;
/// `same` is the hash of what stands in that file now. One that may go on comes before those that ended.
fn find(imports: Vec<Import>, name: &Path, same: Option<&str>) -> Result<Import, BadInput> {
    let text = name.display().to_string();
    let is_named = |import: &&Import| {
        let file = Path::new(&import.file);
        let is_its_file = file == name || file.file_name() == Some(name.as_os_str());
        is_its_file || import.hash.starts_with(&text) || same == Some(&import.hash)
    };
    let open = || imports.iter().filter(|import| import.is_unfinished());
    let mut named: Vec<&Import> = open().filter(is_named).collect();
    if named.is_empty() {
        named = imports.iter().filter(is_named).collect();
    }
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

/// As in `move.jsonl (0123456789ab)`.
fn listed<'a>(imports: impl Iterator<Item = &'a Import>) -> String {
    let each = imports.map(|import| format!("{} ({})", import.file, import.hash.get(..HASH_START).unwrap_or_default()));
    each.collect::<Vec<_>>().join(", ")
}

fn told_json(import: &Import, is_new: bool) -> Value {
    let given_up = import.given_up.as_ref();
    json!({
        "file": import.file,
        "hash": import.hash,
        "outcome": if is_new { "given_up" } else { "nothing_changes" },
        "as_of": import.at.to_string(),
        "accounts": import.accounts,
        "there": import.up_to,
        "given_up_at": given_up.map(|given_up| given_up.at.to_string()),
        "given_up_by": given_up.map(|given_up| &given_up.by),
        "reason": given_up.map(|given_up| &given_up.reason),
    })
}

fn told(import: &Import, is_new: bool) -> String {
    let Import { file, up_to, accounts, .. } = import;
    if let Some(GivenUp { at, by, reason }) = import.given_up.as_ref().filter(|_| !is_new) {
        return format!("The import of {file} was given up at {at} by {by}: {reason}. Nothing changes.");
    }
    let there = match *up_to {
        0 => "none of its accounts came in".to_owned(),
        _ => format!(
            "the first {up_to} of its {accounts} accounts are in the books and stay there, and are billed like all \
             others.\nOne that should not be here: cancel what it has, then `bursar accounts close NAME`"
        ),
    };
    format!(
        "The import of {file} is given up: {there}.\nThe others may come in a file of their own, with its own totals."
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
            ]
        };
        let found = |name: &str| find(imports(), Path::new(name), None).map(|import| import.hash[..2].to_owned());
        for (name, hash) in [
            ("/tmp/move.jsonl", "ab"),
            ("other/move.jsonl", "ac"),
            ("acac", "ac"),
            ("old.jsonl", "1b"),
            ("1a1a", "1a"),
            ("done.jsonl", "1c"),
        ] {
            assert_eq!(found(name).map_err(|problem| problem.0), Ok(hash.to_owned()), "{name}");
        }
        for (name, told) in [
            (
                "move.jsonl",
                "several imports are named so; give the start of one's hash: /tmp/move.jsonl (abababababab), \
                 other/move.jsonl (acacacacacac)",
            ),
            ("a", "several imports are named so"),
            ("none.jsonl", "those that are not finished: /tmp/move.jsonl (abababababab), "),
        ] {
            let refused = found(name).expect_err("refused").0;
            assert!(refused.starts_with(&format!("file `{name}`: ")) && refused.contains(told), "{refused}");
        }
        let none = find(Vec::new(), Path::new("move.jsonl"), None).expect_err("refused").0;
        assert_eq!(none, "file `move.jsonl`: no import of it was begun, and none is unfinished");
    }
}
