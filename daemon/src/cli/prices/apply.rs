//! `bursar prices apply`.

use serde_json::json;
use store::{Published, Store};

use super::{ApplyArgs, Laid, diff, refused, since};
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
    let has_accounts = office.store.account_ids_range().await?.is_some();
    let (store, now) = (&office.store, office.clock.now());
    let laid = new.lay(store).await?;
    if has_accounts && laid.since < now {
        let problem = format!(
            "it takes effect {}, and now is {now}: what began is priced already; give a later --effective-at",
            since(laid.since)
        );
        return Err(refused(&new.file, &problem).into());
    }
    let compared = diff::compare(store, &laid).await?;
    let mut json = diff::json_of(&laid, &compared)?;
    // Who is asked sees it first.
    if args.format == Format::Table {
        say(diff::text(&laid, &compared, SHOWN)?)?;
    }
    let applied = if args.yes || confirmed("Apply it?")? { Some(publish(store, &laid, &args).await?) } else { None };
    store.close().await;
    json["list"] = json!(applied);
    let text = match applied {
        Some(id) => format!("Applied as list {id}, in force {}.", since(laid.since)),
        None => "Nothing was applied.".to_owned(),
    };
    args.format.print(&json, &text)?;
    Ok(if applied.is_some() { DONE } else { FAILED })
}

/// Under which id it is published; what was looked at before the question is looked at again.
async fn publish(store: &Store, laid: &Laid, args: &ApplyArgs) -> anyhow::Result<i64> {
    let now = jobs::Clock::system().now();
    match store.price_list_publish(&laid.list, laid.since, laid.seen, &author(), now).await? {
        Published::Done(id) => Ok(id),
        Published::Moved => {
            Err(NotNow("other price lists or an outage came meanwhile: see `prices list`, then again".to_owned())
                .into())
        }
        Published::Past(now) => {
            let problem =
                format!("it was to take effect {}, and now is {now}; give a later --effective-at", since(laid.since));
            Err(refused(&args.new.file, &problem).into())
        }
        Published::Settled(at) => {
            let problem = format!(
                "it takes effect {}, and an account is settled to {at} already; give a later --effective-at",
                since(laid.since)
            );
            Err(refused(&args.new.file, &problem).into())
        }
    }
}
