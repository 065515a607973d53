//! The bare server: one prepared question after the other for an account, and for deposits the rows alone.

use std::net::SocketAddr;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jobs::Clock;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Pool, Postgres, Row as _, Sqlite};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// Deposits of one commit.
const GROUP: usize = 64;
/// On PostgreSQL commits go on beside one another.
const WRITERS: usize = 4;
const READERS: u32 = 8;

const AMOUNT: i64 = 1_250_000;

const ACCOUNT: &str = "select id, name, currency, opened_at, version, settled_at, state, suspended_for, verified, card,
    resume_on_deposit, wallet, brought_in, trial_ends_at, daily_paid_until, invoiced_until, next_transfer, next_event,
    next_service, next_invoice, next_charge, waiting from accounts where id = $1";
const OF_ACCOUNT: [&str; 4] = [
    "select number, name, plan, mode from services where account_id = $1 and not finished",
    "select number, issued_at, total, paid from invoices where paid_at is null and account_id = $1",
    "select key, purpose, card, amount from intents where used_at is null and account_id = $1",
    "select id, provider, kind, amount from receipts where applied_at is null and account_id = $1",
];

struct Deposit {
    account: String,
    reference: String,
    once: String,
    booked: oneshot::Sender<i64>,
}

struct Floor<D: sqlx::Database> {
    readers: Pool<D>,
    deposits: mpsc::Sender<Deposit>,
}

impl<D: sqlx::Database> Clone for Floor<D> {
    fn clone(&self) -> Self {
        Self { readers: self.readers.clone(), deposits: self.deposits.clone() }
    }
}

/// Serves the same paths on the same database.
pub async fn serve(url: &str) -> anyhow::Result<SocketAddr> {
    let (deposits, waiting) = mpsc::channel(1_024);
    let waiting = std::sync::Arc::new(tokio::sync::Mutex::new(waiting));
    let router = if url.starts_with("sqlite:") {
        let options = SqliteConnectOptions::from_str(url)?
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(std::time::Duration::from_secs(20));
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        tokio::spawn(sqlite::write(writer, waiting));
        let readers = SqlitePoolOptions::new().max_connections(READERS).connect_with(options).await?;
        sqlite::router(Floor::<Sqlite> { readers, deposits })
    } else {
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(READERS + 8).connect(url).await?;
        for _ in 0..WRITERS {
            tokio::spawn(postgres::write(pool.clone(), waiting.clone()));
        }
        postgres::router(Floor::<Postgres> { readers: pool, deposits })
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(bursar::http::serve(listener, router));
    Ok(address)
}

fn answer_of(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// The same for either driver.
macro_rules! floor {
    ($module:ident, $driver:ty) => {
        mod $module {
            use super::*;

            type Shared = std::sync::Arc<tokio::sync::Mutex<mpsc::Receiver<Deposit>>>;

            pub fn router(floor: Floor<$driver>) -> Router {
                Router::new()
                    .route("/v1/accounts/{account}", get(account))
                    .route("/v1/accounts/{account}/deposits", post(deposit))
                    .with_state(floor)
            }

            async fn account(
                State(floor): State<Floor<$driver>>,
                Path(name): Path<String>,
            ) -> Result<Response, StatusCode> {
                let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
                Ok(answer_of(StatusCode::OK, &read(&floor.readers, &name).await.map_err(failed)?))
            }

            async fn read(readers: &Pool<$driver>, name: &str) -> sqlx::Result<Value> {
                let id: i64 = sqlx::query_scalar("select id from accounts where name = $1")
                    .bind(name)
                    .fetch_one(readers)
                    .await?;
                let mut reading = readers.begin().await?;
                let row = sqlx::query(ACCOUNT).bind(id).fetch_one(&mut *reading).await?;
                for question in OF_ACCOUNT {
                    sqlx::query(question).bind(id).fetch_all(&mut *reading).await?;
                }
                reading.commit().await?;
                let text = |column: &str| row.get::<String, _>(column);
                let number = |column: &str| row.get::<i64, _>(column);
                Ok(json!({
                    "account": text("name"), "currency": text("currency"), "state": text("state"),
                    "wallet": number("wallet"), "as_of": number("settled_at"), "opened_at": number("opened_at"),
                    "reason": null, "open_invoices": "0.000000", "verified": true, "card_saved": false,
                    "resume_on_deposit": false, "trial_ends_at": null, "id": "acc_00000000000000000000000000",
                }))
            }

            async fn deposit(
                State(floor): State<Floor<$driver>>,
                Path(account): Path<String>,
                headers: axum::http::HeaderMap,
                body: String,
            ) -> Result<Response, StatusCode> {
                let bad = |_| StatusCode::BAD_REQUEST;
                let body: Value = serde_json::from_str(&body).map_err(bad)?;
                let reference = body["reference"].as_str().ok_or(StatusCode::BAD_REQUEST)?.to_owned();
                let once = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
                let (booked, answer) = oneshot::channel();
                let deposit = Deposit { account, reference, once: once.to_owned(), booked };
                let gone = |_| StatusCode::INTERNAL_SERVER_ERROR;
                floor.deposits.send(deposit).await.map_err(gone)?;
                let wallet = answer.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
                Ok(answer_of(StatusCode::CREATED, &json!({ "wallet": wallet, "amount": "1.250000" })))
            }

            /// Takes what waits, and books it in one transaction.
            pub async fn write(pool: Pool<$driver>, waiting: Shared) -> anyhow::Result<()> {
                loop {
                    let mut group = Vec::with_capacity(GROUP);
                    if waiting.lock().await.recv_many(&mut group, GROUP).await == 0 {
                        return Ok(());
                    }
                    // In one order, so that two groups never wait for each other.
                    group.sort_by(|one, other| one.account.cmp(&other.account));
                    let mut transaction = pool.begin().await?;
                    let mut told = Vec::with_capacity(group.len());
                    for deposit in group {
                        let wallet = book(&mut transaction, &deposit).await.context("a deposit of the floor")?;
                        told.push((deposit.booked, wallet));
                    }
                    transaction.commit().await?;
                    for (booked, wallet) in told {
                        let _ = booked.send(wallet);
                    }
                }
            }

            async fn book(transaction: &mut sqlx::Transaction<'_, $driver>, deposit: &Deposit) -> sqlx::Result<i64> {
                static REQUEST: AtomicI64 = AtomicI64::new(0);
                let now = Clock::system().now().secs();
                let request = format!("floor-{}-{}", deposit.once, REQUEST.fetch_add(1, Ordering::Relaxed));
                let moved = sqlx::query(
                    "update accounts set wallet = wallet + $2, brought_in = brought_in + $2, version = version + 1,
                    next_transfer = next_transfer + 1 where name = $1 returning id, next_transfer, wallet",
                )
                .bind(&deposit.account)
                .bind(AMOUNT)
                .fetch_one(&mut **transaction)
                .await?;
                let (id, number, wallet): (i64, i64, i64) = (moved.get(0), moved.get(1), moved.get(2));
                sqlx::query(
                    "insert into receipts (provider, payment, kind, account_id, amount, received_at, applied_at,
                    effective_at) values ('floor', $1, 'deposit', $2, $3, $4, $4, $4)",
                )
                .bind(&deposit.reference)
                .bind(id)
                .bind(AMOUNT)
                .bind(now)
                .execute(&mut **transaction)
                .await?;
                sqlx::query(
                    "insert into transfers (account_id, number, kind, debit, credit, currency, amount, effective_at,
                    recorded_at) values ($1, $2, 'deposit', 'cash:provider', 'wallet', 'USD', $3, $4, $4)",
                )
                .bind(id)
                .bind(number - 1)
                .bind(AMOUNT)
                .bind(now)
                .execute(&mut **transaction)
                .await?;
                sqlx::query(
                    "insert into requests (key_id, idempotency_key, digest, attempt, at, status, answer)
                    values (1, $1, $1, $1, $2, 201, $3)",
                )
                .bind(&request)
                .bind(now)
                .bind("{\"wallet\": \"1000000.000000\"}")
                .execute(&mut **transaction)
                .await?;
                sqlx::query(
                    "insert into audit_log (at, actor, request, action, object, account_id, result, before, after)
                    values ($1, 'floor', $2, 'deposit', $3, $4, 'done', null, $3)",
                )
                .bind(now)
                .bind(&request)
                .bind(&deposit.reference)
                .bind(id)
                .execute(&mut **transaction)
                .await?;
                Ok(wallet)
            }
        }
    };
}

floor!(sqlite, Sqlite);
floor!(postgres, Postgres);
