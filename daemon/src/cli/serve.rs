//! `bursar serve`.

use std::sync::Arc;

use jobs::Clock;
use providers::NoCards;

use crate::cli::check::refuse;
use crate::cli::{DONE, ServeArgs};
use crate::input::Config;

pub async fn run(args: ServeArgs) -> anyhow::Result<u8> {
    let mut config = match args.config.as_deref().map(Config::read) {
        None => Config::default(),
        Some(Ok(config)) => config,
        Some(Err(problems)) => return Ok(refuse(&problems)),
    };
    if let Some(url) = args.database_url {
        config.database = url;
    }
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    crate::serve::logging::init(&config.log)?;
    crate::serve::serve(config, Clock::System, Arc::new(NoCards)).await?;
    Ok(DONE)
}
