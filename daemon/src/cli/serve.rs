//! `bursar serve`.

use std::sync::Arc;

use jobs::Clock;
use providers::NoCards;
use store::Address;

use crate::cli::check::refuse;
use crate::cli::{DONE, ServeArgs};
use crate::input::{Config, database_address, read_price_lists};

pub async fn run(args: ServeArgs) -> anyhow::Result<u8> {
    let mut config = match args.config.as_deref().map(Config::read) {
        None => Config::default(),
        Some(Ok(config)) => config,
        Some(Err(problems)) => return Ok(refuse(&problems)),
    };
    if let Some(url) = args.database_url {
        database_address(&url)?;
        config.database = url;
    }
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    // Only a new database takes them in; what is wrong with them is told before there is one.
    if is_new(&Address::parse(&config.database)?)
        && let Err(problems) = read_price_lists(&config.price_files)
    {
        return Ok(refuse(&problems));
    }
    crate::serve::logging::init(&config.log)?;
    crate::serve::serve(config, args.role, Clock::system(), Arc::new(NoCards)).await?;
    Ok(DONE)
}

/// Whether it may well be: a server's is not asked before it is opened.
fn is_new(database: &Address) -> bool {
    database.file().is_none_or(|file| file.metadata().map_or(true, |file| file.len() == 0))
}
