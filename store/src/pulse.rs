//! Whether the server of the books answers, felt each second by a connection of its own: one of a pool may be hard to
//! come by, or long in coming back. By it the server sees who is awake, too.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};
use tokio::time::timeout;

use crate::sql::Pool;
use crate::{Result, Store, StoreError};

/// A server that takes longer for an answer without any work does not answer.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct Pulse {
    /// None of a file, which always answers.
    server: Option<PgConnectOptions>,
    connection: Option<PgConnection>,
}

impl Store {
    pub fn pulse(&self) -> Pulse {
        let server = match self.readers() {
            Pool::Sqlite(_) => None,
            Pool::Postgres(readers) => Some(readers.connect_options().as_ref().clone()),
        };
        Pulse { server, connection: None }
    }
}

impl Pulse {
    /// Fails when the server does not answer. A connection that was cut is made anew at once.
    pub async fn feel(&mut self) -> Result<()> {
        let Some(server) = &self.server else { return Ok(()) };
        // Taken along: what was left half asked is asked no more.
        let before = self.connection.take();
        match timeout(PATIENCE, ask(server, before)).await {
            Ok(answered) => {
                self.connection = Some(answered?);
                Ok(())
            }
            Err(_) => Err(StoreError::Silent { secs: PATIENCE.as_secs() }),
        }
    }
}

async fn ask(server: &PgConnectOptions, before: Option<PgConnection>) -> Result<PgConnection> {
    if let Some(mut connection) = before
        && sqlx::query("select 1").execute(&mut connection).await.is_ok()
    {
        return Ok(connection);
    }
    let mut connection = server.connect().await?;
    sqlx::query("select 1").execute(&mut connection).await?;
    Ok(connection)
}
