//! `bursar prices apply`.

use jobs::Office;
use rules::Timestamp;
use serde_json::json;
use store::{Published, Store};

use super::{ApplyArgs, Laid, diff, since};
use crate::cli::ask::confirmed;
use crate::cli::author::author;
use crate::cli::books::NotNow;
use crate::cli::out::say;
use crate::cli::{DONE, FAILED, Format};

/// Accounts that are shown of those that pay most more.
const SHOWN: usize = 5;

pub async fn run(args: ApplyArgs) -> anyhow::Result<u8> {
    let new = &args.new;
    let office = new.books.office_for_prices().await?;
    let store = &office.store;
    let laid = new.lay(store).await?;
    refuse_past(store, &laid, office.clock.now()).await?;
    let compared = diff::compare(store, &laid).await?;
    let mut json = diff::json_of(&laid, &compared, usize::MAX)?;
    // Who is asked sees it first.
    if args.format == Format::Table {
        say(diff::text(&laid, &compared, SHOWN)?)?;
    }
    let is_wanted = args.yes || confirmed("Apply it?")?;
    let applied = if is_wanted { Some(publish(&office, &laid, &author()).await?) } else { None };
    store.close().await;
    json["list"] = json!(applied);
    let text = match applied {
        Some(id) => format!("Applied as list {id}, in force {}.", since(laid.since)),
        None => "Nothing was applied.".to_owned(),
    };
    args.format.print(&json, &text)?;
    Ok(if applied.is_some() { DONE } else { FAILED })
}

/// Where there are accounts, what began is priced already.
pub async fn refuse_past(store: &Store, laid: &Laid, now: Timestamp) -> anyhow::Result<()> {
    if laid.since >= now || store.account_ids_range().await?.is_none() {
        return Ok(());
    }
    let since = since(laid.since);
    let problem =
        format!("it takes effect {since}, and now is {now}: what began is priced already; give a later effective_at");
    Err(laid.refused(&problem).into())
}

/// Under which id it is published; what was looked at before is looked at again.
pub async fn publish(office: &Office, laid: &Laid, author: &str) -> anyhow::Result<i64> {
    let now = office.clock.now();
    let since = since(laid.since);
    match office.store.price_list_publish(&laid.list, laid.since, laid.seen, author, now).await? {
        Published::Done(id) => Ok(id),
        Published::Moved => {
            Err(NotNow("other price lists or an outage came meanwhile: look at the lists, then again".to_owned())
                .into())
        }
        Published::Past(now) => {
            let problem = format!("it was to take effect {since}, and now is {now}; give a later effective_at");
            Err(laid.refused(&problem).into())
        }
        Published::Settled(at) => {
            let problem = format!(
                "it takes effect {since}, and an account is settled to {at} already; give a later effective_at"
            );
            Err(laid.refused(&problem).into())
        }
    }
}
