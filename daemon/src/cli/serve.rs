//! `bursar serve`.

use std::net::TcpListener;
use std::sync::Arc;

use jobs::Clock;
use providers::NoCards;
use store::Address;

use crate::cli::out::tell;
use crate::cli::{DONE, MISCONFIGURED, ServeArgs};
use crate::input::{Config, Problems, read_price_lists};
use crate::serve::Process;
use crate::serve::logging::Logging;
use crate::serve::reload::Source;

pub async fn run(args: ServeArgs, listener: Option<TcpListener>) -> anyhow::Result<u8> {
    let ServeArgs { config: file, database_url, role, listen, metrics_listen } = args;
    let source = Source { file, database_url, listen, metrics_listen };
    let config = match configuration(&source) {
        Ok(config) => config,
        // Systemd tries again what failed, but not this.
        Err(error) if error.is::<Problems>() => {
            tell(format_args!("{error}"));
            return Ok(MISCONFIGURED);
        }
        Err(error) => return Err(error),
    };
    let process = Process { source, logging: Some(Logging::init(&config.log)?), listener };
    crate::serve::serve(config, process, role, Clock::system(), Arc::new(NoCards)).await?;
    Ok(DONE)
}

fn configuration(source: &Source) -> anyhow::Result<Config> {
    let config = source.read()?;
    // Only a new database takes them in; what is wrong with them is told before there is one.
    if is_new(&Address::parse(&config.database)?) {
        read_price_lists(&config.price_files)?;
    }
    Ok(config)
}

/// Whether it may well be: a server's is not asked before it is opened.
fn is_new(database: &Address) -> bool {
    database.file().is_none_or(|file| file.metadata().map_or(true, |file| file.len() == 0))
}
