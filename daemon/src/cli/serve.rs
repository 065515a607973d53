//! `bursar serve`.

use std::sync::Arc;

use jobs::Clock;
use providers::NoCards;
use store::Address;

use crate::cli::{DONE, ServeArgs};
use crate::input::{Config, database_address, read_price_lists};

pub async fn run(args: ServeArgs) -> anyhow::Result<u8> {
    let mut config = args.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    if let Some(url) = args.database_url {
        database_address(&url)?;
        config.database = url;
    }
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    // Only a new database takes them in; what is wrong with them is told before there is one.
    if is_new(&Address::parse(&config.database)?) {
        read_price_lists(&config.price_files)?;
    }
    crate::serve::logging::init(&config.log)?;
    crate::serve::serve(config, args.role, Clock::system(), Arc::new(NoCards)).await?;
    Ok(DONE)
}

/// Whether it may well be: a server's is not asked before it is opened.
fn is_new(database: &Address) -> bool {
    database.file().is_none_or(|file| file.metadata().map_or(true, |file| file.len() == 0))
}
