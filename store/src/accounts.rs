//! Accounts and who owns what name.

use rules::{Account, AccountId, Standing, SuspendReason, Timestamp};
use sqlx::SqliteConnection;

use crate::commit::DueSeconds;
use crate::due::{daily_due, write_first};
use crate::write::json;
use crate::{Result, Store, StoreError};

impl Store {
    /// Opens an account with what falls due for it; its id and version are the store's to give.
    pub async fn account_insert(
        &self,
        account: &Account,
        due: &DueSeconds,
        recorded_at: Timestamp,
    ) -> Result<AccountId> {
        let mut transaction = self.write().await?;
        let id = insert(&mut transaction, account, due, recorded_at).await.map_err(|error| match error {
            StoreError::Constraint { name } if name == "account_name_is_free" => {
                StoreError::NameTaken { what: "account", name: account.name.clone() }
            }
            other => other,
        })?;
        write_first(&mut transaction, id, due).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// The account of that name.
    pub async fn account_id(&self, name: &str) -> Result<Option<AccountId>> {
        let id = sqlx::query_scalar("select id from accounts where name = $1").bind(name);
        Ok(id.fetch_optional(self.readers()).await?.map(AccountId))
    }

    /// The account that has, or had, a service of that name.
    pub async fn service_owner(&self, name: &str) -> Result<Option<AccountId>> {
        let id = sqlx::query_scalar("select account_id from services where name = $1").bind(name);
        Ok(id.fetch_optional(self.readers()).await?.map(AccountId))
    }

    /// Ids after `after` up to `last`, rising: for what must look at all accounts.
    pub async fn account_ids(&self, after: AccountId, last: AccountId, limit: u32) -> Result<Vec<AccountId>> {
        let ids: Vec<i64> =
            sqlx::query_scalar("select id from accounts where id > $1 and id <= $2 order by id limit $3")
                .bind(after.0)
                .bind(last.0)
                .bind(i64::from(limit))
                .fetch_all(self.readers())
                .await?;
        Ok(ids.into_iter().map(AccountId).collect())
    }

    /// The lowest and the highest id, from which shards are cut.
    pub async fn account_ids_range(&self) -> Result<Option<(AccountId, AccountId)>> {
        let (first, last): (Option<i64>, Option<i64>) =
            sqlx::query_as("select (select min(id) from accounts), (select max(id) from accounts)")
                .fetch_one(self.readers())
                .await?;
        Ok(first.zip(last).map(|(first, last)| (AccountId(first), AccountId(last))))
    }
}

/// `state` and `suspended_for`.
pub fn standing_names(standing: Standing) -> (&'static str, Option<&'static str>) {
    (standing.name(), standing.reason().map(SuspendReason::name))
}

pub async fn insert(
    connection: &mut SqliteConnection,
    account: &Account,
    due: &DueSeconds,
    recorded_at: Timestamp,
) -> Result<AccountId> {
    let (state, suspended_for) = standing_names(account.standing);
    let trial = account.trial.as_ref();
    let id: i64 = sqlx::query_scalar(
        "insert into accounts (name, currency, opened_at, recorded_at, version, settled_at, state, suspended_for,
            verified, card, resume_on_deposit, wallet, brought_in, trial_ends_at, trial_ended, trial_traffic_used,
            trial_traffic_cost, trial_traffic_charged, trial_traffic_due_after, daily_paid_until, invoiced_until,
            next_transfer, next_event, next_service, next_invoice, next_charge, waiting, daily_due_at)
        values ($1, $2, $3, $4, 0, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
            $22, $23, $24, $25, $26, $27)
        returning id",
    )
    .bind(&account.name)
    .bind(account.currency.code())
    .bind(account.opened_at.secs())
    .bind(recorded_at.secs())
    .bind(account.settled_at.secs())
    .bind(state)
    .bind(suspended_for)
    .bind(account.verified)
    .bind(&account.card)
    .bind(account.resume_on_deposit)
    .bind(account.wallet.get())
    .bind(account.brought_in.get())
    .bind(trial.map(|trial| trial.ends_at.secs()))
    .bind(trial.map(|trial| trial.ended))
    .bind(trial.map(|trial| trial.traffic_used.get()))
    .bind(trial.map(|trial| trial.traffic_cost.pico().to_string()))
    .bind(trial.map(|trial| trial.traffic_charged.get()))
    .bind(trial.map(|trial| trial.traffic_due_after.secs()))
    .bind(account.daily_paid_until.secs())
    .bind(account.invoiced_until.secs())
    .bind(account.next.transfer)
    .bind(account.next.event)
    .bind(account.next.service)
    .bind(account.next.invoice)
    .bind(account.next.charge)
    .bind(account.waiting.as_ref().map(json).transpose()?)
    .bind(daily_due(due).map(Timestamp::secs))
    .fetch_one(connection)
    .await?;
    Ok(AccountId(id))
}
