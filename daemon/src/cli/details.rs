//! `bursar accounts details`: who a customer is.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use store::DETAILS;

use crate::cli::books::{self, Books};
use crate::input::{BadInput, customer};

#[derive(clap::Args)]
pub struct DetailsArgs {
    account: String,
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The person's
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    #[arg(long, value_name = "TEXT")]
    company: Option<String>,
    #[arg(long, value_name = "TEXT")]
    address: Option<String>,
    #[arg(long, value_name = "TEXT")]
    tax_id: Option<String>,
    /// A tag like de or pt-BR
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
}

/// By column: what it is from now on, or that it goes.
type Changes = BTreeMap<&'static str, Option<String>>;

impl DetailsArgs {
    fn changes(self) -> Result<Changes, BadInput> {
        let mut changes = Changes::new();
        for (column, option, text) in [
            ("email", "--email", self.email),
            ("person", "--name", self.name),
            ("company", "--company", self.company),
            ("address", "--address", self.address),
            ("tax_id", "--tax-id", self.tax_id),
            ("language", "--language", self.language),
        ] {
            let Some(text) = text else { continue };
            if text.is_empty() {
                changes.insert(column, None);
            } else if let Some(why) = customer::refusal(column, &text) {
                return Err(BadInput(format!("{option} {text:?}: {why}; an empty text takes it away")));
            } else {
                changes.insert(column, Some(text));
            }
        }
        if changes.is_empty() {
            let ways = "give at least one of --email, --name, --company, --address, --tax-id and --language";
            return Err(BadInput(format!("nothing to correct: {ways}")));
        }
        Ok(changes)
    }
}

pub async fn change(books: &Books, args: DetailsArgs) -> anyhow::Result<(Value, String)> {
    let name = args.account.clone();
    let changes = args.changes()?;
    let store = books.office_for_changes().await?.store;
    let id = books::account(&store, &name).await?;
    store.account_details_change(id, &changes).await?;
    let known = store.account_details(id).await?;
    let known_now = if known.is_empty() { " nothing".to_owned() } else { text(&known) };
    let text = format!("Invoices to come of account {name} go by what is known of the customer:{known_now}");
    Ok((json!({ "account": name, "details": json(&known) }), text))
}

/// Each detail, also those that are not known.
pub fn json(known: &BTreeMap<&'static str, String>) -> Value {
    DETAILS.iter().map(|column| (label(column).to_owned(), json!(known.get(column)))).collect()
}

/// A line for each that is known.
pub fn text(known: &BTreeMap<&'static str, String>) -> String {
    let shown = DETAILS.iter().filter_map(|column| Some((label(column), known.get(column)?)));
    shown.map(|(label, text)| format!("\n{label}: {}", text.replace('\n', ", "))).collect()
}

/// As invoices call it.
pub fn label(column: &str) -> &str {
    if column == "person" { "name" } else { column }
}
