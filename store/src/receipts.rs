//! Proofs of payments, each taken once.

use std::collections::BTreeSet;

use rules::{AccountId, Currency, Micros, ReceiptKind, Timestamp};

use crate::cells::{Cells, Problem};
use crate::due::unless_waiting;
use crate::intents::touch;
use crate::pages::read_rows;
use crate::sql::{self, Transaction};
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

/// A receipt and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceiptRow {
    pub id: i64,
    pub account: String,
    pub currency: Currency,
    pub provider: String,
    pub payment: String,
    pub amount: Micros,
    pub received_at: Timestamp,
    /// From when it counts, once the books took it in.
    pub effective_at: Option<Timestamp>,
}

macro_rules! select_receipts {
    ($tail:literal) => {
        concat!(
            "select receipts.id, accounts.name, accounts.currency, receipts.provider, receipts.payment, receipts.amount,
                receipts.received_at, receipts.effective_at
            from receipts join accounts on accounts.id = receipts.account_id ",
            $tail
        )
    };
}

impl Store {
    /// The receipt of a payment.
    pub async fn receipt(&self, provider: &str, payment: &str, kind: ReceiptKind) -> Result<Option<ReceiptRow>> {
        let question = select_receipts!("where provider = $1 and payment = $2 and kind = $3");
        let row =
            sql::query(question).bind(provider).bind(payment).bind(kind.name()).fetch_optional(self.readers()).await?;
        Ok(read_rows("receipts", row.as_slice(), read_receipt)?.pop())
    }

    /// The receipts of an account that count from `at`, of that kind and amount.
    pub async fn receipts_at(
        &self,
        account: AccountId,
        kind: ReceiptKind,
        amount: Micros,
        at: Timestamp,
    ) -> Result<Vec<ReceiptRow>> {
        let question = select_receipts!(
            "where receipts.account_id = $1 and receipts.received_at <= $2 and receipts.effective_at = $2
                and kind = $3 and amount = $4
            order by receipts.received_at, receipts.id"
        );
        let rows = sql::query(question)
            .bind(account.0)
            .bind(at.secs())
            .bind(kind.name())
            .bind(amount.get())
            .fetch_all(self.readers())
            .await?;
        read_rows("receipts", &rows, read_receipt)
    }

    /// Which of these deposits are known, by provider and payment.
    pub async fn deposits_known(
        &self,
        deposits: impl Iterator<Item = (&str, &str)>,
    ) -> Result<BTreeSet<(String, String)>> {
        let (providers, payments): (BTreeSet<&str>, Vec<&str>) = deposits.unzip();
        let texts = |texts: &mut dyn Iterator<Item = &str>| texts.map(str::to_owned).collect::<Vec<_>>();
        let rows: Vec<(String, String)> = sql::query_as(
            "select provider, payment from receipts
            where provider = any($1) and payment = any($2) and kind = 'deposit'",
        )
        .bind(texts(&mut providers.into_iter()))
        .bind(texts(&mut payments.into_iter()))
        .fetch_all(self.readers())
        .await?;
        Ok(rows.into_iter().collect())
    }

    /// Keeps a receipt as of `received_at`; false if it was there already. From then on no decision is
    /// committed that doesn't know of it.
    pub async fn receipt_insert(&self, receipt: &NewReceipt<'_>, received_at: Timestamp) -> Result<bool> {
        let mut transaction = self.write_beside().await?;
        // First, so that nobody settles the account further meanwhile.
        touch(&mut transaction, receipt.account).await?;
        let inserted = insert(&mut transaction, receipt, received_at).await?;
        if inserted {
            transaction.commit().await?;
        }
        Ok(inserted)
    }

    /// Accounts with money that is not in the books yet.
    pub async fn accounts_with_receipts(&self, limit: u32) -> Result<Vec<AccountId>> {
        let ids: Vec<i64> = sql::query_scalar(
            "select distinct account_id from receipts where applied_at is null order by account_id limit $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        Ok(ids.into_iter().map(AccountId).collect())
    }

    /// Those of them after `after` up to `last` that are not parked at `now`, rising.
    pub async fn accounts_with_receipts_due(
        &self,
        now: Timestamp,
        after: AccountId,
        last: AccountId,
        limit: u32,
    ) -> Result<Vec<AccountId>> {
        let ids: Vec<i64> = sql::query_scalar(concat!(
            "select distinct account_id from receipts
            where applied_at is null and account_id > $1 and account_id <= $3",
            unless_waiting!("receipts.account_id"),
            " order by account_id limit $4"
        ))
        .bind(after.0)
        .bind(now.secs())
        .bind(last.0)
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        Ok(ids.into_iter().map(AccountId).collect())
    }

    /// How many they are, of all accounts.
    pub async fn accounts_with_receipts_due_count(&self, now: Timestamp) -> Result<u64> {
        let count: i64 = sql::query_scalar(concat!(
            "select count(distinct account_id) from receipts where applied_at is null and received_at >= $1",
            unless_waiting!("receipts.account_id")
        ))
        .bind(i64::MIN)
        .bind(now.secs())
        .fetch_one(self.readers())
        .await?;
        Ok(count.unsigned_abs())
    }
}

fn read_receipt(cells: &mut Cells<'_>) -> std::result::Result<ReceiptRow, Problem> {
    Ok(ReceiptRow {
        id: cells.int()?,
        account: cells.text()?,
        currency: cells.currency()?,
        provider: cells.text()?,
        payment: cells.text()?,
        amount: cells.micros()?,
        received_at: cells.time()?,
        effective_at: cells.maybe_time()?,
    })
}

/// Inserts unless it is known. What waited for the writer while its account was settled further is durable
/// only after that second, and says so (rule 11.6).
pub async fn insert(connection: &mut Transaction, receipt: &NewReceipt<'_>, received_at: Timestamp) -> Result<bool> {
    let written = sql::query(
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
    .await?;
    if written == 0 {
        let account = sql::query("select 1 from accounts where id = $1").bind(receipt.account.0);
        let missing = || StoreError::NotFound { what: "account", key: receipt.account.0.to_string() };
        account.fetch_optional(connection).await?.ok_or_else(missing)?;
    }
    Ok(written > 0)
}
