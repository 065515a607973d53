//! `bursar prices check`.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::{DONE, Format};
use crate::input::read_price_lists;

pub fn prices(files: &[PathBuf], format: Format) -> anyhow::Result<u8> {
    let lists = read_price_lists(files)?;
    let told = lists.iter().map(|list| format!("{}: fine; {} plans", list.path.display(), list.plans.len()));
    let text = told.collect::<Vec<_>>().join("\n");
    let rows = lists.iter().map(|list| {
        let (file, since) = (list.path.display().to_string(), list.effective_at.map(|at| at.to_string()));
        json!({ "file": file, "effective_at": since, "plans": list.plans.keys().collect::<Vec<_>>() })
    });
    format.print(&json!({ "lists": rows.collect::<Vec<_>>() }), &text)?;
    Ok(DONE)
}
