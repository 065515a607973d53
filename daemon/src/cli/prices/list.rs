//! `bursar prices list`.

use serde_json::{Value, json};
use store::PublishedList;

use super::{ListArgs, since};
use crate::cli::DONE;
use crate::tables::table;

pub async fn run(args: ListArgs) -> anyhow::Result<u8> {
    let store = args.books.store().await?;
    let lists = store.price_lists().await?;
    store.close().await;
    let mut rows = table(&["list", "in force", "published", "by", "withdrawn", "plans"], &[0]);
    for list in &lists {
        let withdrawn = list.withdrawn.as_ref();
        rows.add_row([
            list.id.to_string(),
            since(list.effective_at),
            list.recorded_at.to_string(),
            list.author.clone(),
            withdrawn.map_or("-".to_owned(), |gone| format!("{} by {}: {}", gone.at, gone.by, gone.reason)),
            plans(list),
        ]);
    }
    args.format.print(&lists.iter().map(json_of).collect(), &rows.to_string())?;
    Ok(DONE)
}

/// The names of the plans, as far as they fit.
fn plans(list: &PublishedList) -> String {
    const SHOWN: usize = 8;
    let names: Vec<&str> = list.list.keys().take(SHOWN).map(String::as_str).collect();
    match list.list.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

pub fn json_of(list: &PublishedList) -> Value {
    let withdrawn = list.withdrawn.as_ref();
    json!({
        "id": list.id,
        "effective_at": since(list.effective_at),
        "recorded_at": list.recorded_at.to_string(),
        "author": list.author,
        "withdrawn": withdrawn.map(|gone| json!({ "at": gone.at.to_string(), "by": gone.by, "reason": gone.reason })),
        "plans": list.list.keys().collect::<Vec<_>>(),
    })
}
