//! Proofs of payments, each taken once.

use rules::{AccountId, Micros, ReceiptKind, Timestamp};
use sqlx::SqliteConnection;

use crate::due::unless_parked;
use crate::intents::touch;
use crate::{Result, Store, StoreError};

/// A payment as the provider proved it; the same payment and kind is the same receipt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewReceipt<'a> {
    pub account: AccountId,
    pub provider: &'a str,
    pub payment: &'a str,
    pub kind: ReceiptKind,
    pub amount: Micros,
    /// The provider's own time, kept and moving nothing.
    pub provider_at: Option<Timestamp>,
}

impl Store {
    /// Keeps a receipt as of `received_at`; false if it was there already. From then on no decision is
    /// committed that doesn't know of it.
    pub async fn receipt_insert(&self, receipt: &NewReceipt<'_>, received_at: Timestamp) -> Result<bool> {
        let mut transaction = self.write().await?;
        let inserted = insert(&mut transaction, receipt, received_at).await?;
        if inserted {
            touch(&mut transaction, receipt.account).await?;
        }
        transaction.commit().await?;
        Ok(inserted)
    }

    /// Accounts with money that is not in the books yet.
    pub async fn accounts_with_receipts(&self, limit: u32) -> Result<Vec<AccountId>> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "select distinct account_id from receipts where applied_at is null order by account_id limit $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        Ok(ids.into_iter().map(AccountId).collect())
    }

    /// Those of them that are not parked at `now`.
    pub async fn accounts_with_receipts_due(&self, now: Timestamp, limit: u32) -> Result<Vec<AccountId>> {
        let ids: Vec<i64> = sqlx::query_scalar(concat!(
            "select distinct account_id from receipts where applied_at is null",
            unless_parked!("receipts.account_id"),
            " order by account_id limit $1"
        ))
        .bind(i64::from(limit))
        .bind(now.secs())
        .fetch_all(self.readers())
        .await?;
        Ok(ids.into_iter().map(AccountId).collect())
    }
}

/// Inserts unless it is known. What waited for the writer while its account was settled further is durable
/// only after that second, and says so (rule 11.6).
pub async fn insert(
    connection: &mut SqliteConnection,
    receipt: &NewReceipt<'_>,
    received_at: Timestamp,
) -> Result<bool> {
    let written = sqlx::query(
        "insert into receipts (provider, payment, kind, account_id, amount, received_at, provider_at)
        select $1, $2, $3, id, $5, case when settled_at > $6 then settled_at else $6 end, $7
        from accounts where id = $4
        on conflict (provider, payment, kind) do nothing",
    )
    .bind(receipt.provider)
    .bind(receipt.payment)
    .bind(receipt.kind.name())
    .bind(receipt.account.0)
    .bind(receipt.amount.get())
    .bind(received_at.secs())
    .bind(receipt.provider_at.map(Timestamp::secs))
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if written == 0 {
        let account = sqlx::query("select 1 from accounts where id = $1").bind(receipt.account.0);
        let missing = || StoreError::NotFound { what: "account", key: receipt.account.0.to_string() };
        account.fetch_optional(connection).await?.ok_or_else(missing)?;
    }
    Ok(written > 0)
}
