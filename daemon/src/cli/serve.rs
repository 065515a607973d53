//! `bursar serve`.

use std::sync::Arc;

use jobs::Clock;
use providers::NoCards;

use crate::cli::check::refuse;
use crate::cli::{DONE, ServeArgs};
use crate::input::{Config, database_path, read_price_lists};

pub async fn run(args: ServeArgs) -> anyhow::Result<u8> {
    let mut config = match args.config.as_deref().map(Config::read) {
        None => Config::default(),
        Some(Ok(config)) => config,
        Some(Err(problems)) => return Ok(refuse(&problems)),
    };
    if let Some(url) = args.database_url {
        database_path(&url)?;
        config.database = url;
    }
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    // Only a new database takes them in; what is wrong with them is told before there is one.
    let is_new = store::database_path(&config.database)?.metadata().map_or(true, |file| file.len() == 0);
    if is_new && let Err(problems) = read_price_lists(&config.price_files) {
        return Ok(refuse(&problems));
    }
    crate::serve::logging::init(&config.log)?;
    crate::serve::serve(config, Clock::system(), Arc::new(NoCards)).await?;
    Ok(DONE)
}
