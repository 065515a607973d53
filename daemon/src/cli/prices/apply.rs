//! `bursar prices apply`.

use store::{Published, Store};

use super::{ApplyArgs, Laid, diff, refused, since};
use crate::cli::ask::confirmed;
use crate::cli::books::{NotNow, author};
use crate::cli::{DONE, FAILED};

pub async fn run(args: ApplyArgs) -> anyhow::Result<u8> {
    let new = &args.new;
    let office = new.books.office().await?;
    let has_accounts = office.store.account_ids_range().await?.is_some();
    let office = if has_accounts { new.books.office_for_changes().await? } else { office };
    let (store, now) = (&office.store, office.clock.now());
    let laid = new.lay(store).await?;
    if has_accounts && laid.since < now {
        let problem = format!(
            "it takes effect {}, and now is {now}: what began is priced already; give a later --effective-at",
            since(laid.since)
        );
        return Err(refused(&new.file, &problem).into());
    }
    diff::print(&laid, &diff::compare(store, &laid).await?, 5)?;
    if !args.yes && !confirmed("Apply it?")? {
        println!("Nothing was applied.");
        return Ok(FAILED);
    }
    publish(store, &laid, &args).await?;
    store.close().await;
    Ok(DONE)
}

async fn publish(store: &Store, laid: &Laid, args: &ApplyArgs) -> anyhow::Result<()> {
    let now = jobs::Clock::system().now();
    match store.price_list_publish(&laid.list, laid.since, laid.seen, &author(), now).await? {
        Published::Done(id) => println!("Applied as list {id}, in force {}.", since(laid.since)),
        Published::Moved => {
            return Err(NotNow(
                "other price lists or an outage came meanwhile: see `prices list`, then again".to_owned(),
            )
            .into());
        }
        Published::Past(now) => {
            let problem =
                format!("it was to take effect {}, and now is {now}; give a later --effective-at", since(laid.since));
            return Err(refused(&args.new.file, &problem).into());
        }
        Published::Settled(at) => {
            let problem = format!(
                "it takes effect {}, and an account is settled to {at} already; give a later --effective-at",
                since(laid.since)
            );
            return Err(refused(&args.new.file, &problem).into());
        }
    }
    Ok(())
}
