//! Accounts and who owns what name.

use std::collections::HashMap;

use rules::{Account, AccountId, Standing, SuspendReason, Timestamp};

use crate::commit::DueSeconds;
use crate::due::{daily_due, write_new};
use crate::sql::{self, Work};
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
        let mut transaction = self.write_beside().await?;
        let mut work = Work::new(&mut transaction, None);
        let ids = insert_all(&mut work, &[(account, due)], recorded_at).await.map_err(|error| match error {
            StoreError::Constraint { name } if name == "account_name_is_free" => {
                StoreError::NameTaken { what: "account", name: account.name.clone() }
            }
            other => other,
        })?;
        let id = ids.into_iter().next().ok_or(sqlx::Error::RowNotFound)?;
        write_new(&mut work, &[(id, due)]).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// The account of that name.
    pub async fn account_id(&self, name: &str) -> Result<Option<AccountId>> {
        let id = sql::query_scalar("select id from accounts where name = $1").bind(name);
        Ok(id.fetch_optional(self.readers()).await?.map(AccountId))
    }

    /// The account that has, or had, a service of that name.
    pub async fn service_owner(&self, name: &str) -> Result<Option<AccountId>> {
        let id = sql::query_scalar("select account_id from services where name = $1").bind(name);
        Ok(id.fetch_optional(self.readers()).await?.map(AccountId))
    }

    /// Ids after `after` up to `last`, rising: for what must look at all accounts.
    pub async fn account_ids(&self, after: AccountId, last: AccountId, limit: u32) -> Result<Vec<AccountId>> {
        let ids: Vec<i64> =
            sql::query_scalar("select id from accounts where id > $1 and id <= $2 order by id limit $3")
                .bind(after.0)
                .bind(last.0)
                .bind(i64::from(limit))
                .fetch_all(self.readers())
                .await?;
        Ok(ids.into_iter().map(AccountId).collect())
    }

    /// The name of an account.
    pub async fn account_name(&self, id: AccountId) -> Result<Option<String>> {
        sql::query_scalar("select name from accounts where id = $1").bind(id.0).fetch_optional(self.readers()).await
    }

    /// The lowest and the highest id, from which shards are cut.
    pub async fn account_ids_range(&self) -> Result<Option<(AccountId, AccountId)>> {
        let (first, last): (Option<i64>, Option<i64>) =
            sql::query_as("select (select min(id) from accounts), (select max(id) from accounts)")
                .fetch_one(self.readers())
                .await?;
        Ok(first.zip(last).map(|(first, last)| (AccountId(first), AccountId(last))))
    }
}

/// `state` and `suspended_for`.
pub fn standing_names(standing: Standing) -> (&'static str, Option<&'static str>) {
    (standing.name(), standing.reason().map(SuspendReason::name))
}

/// Writes new accounts; their ids, in their order.
pub async fn insert_all(
    work: &mut Work<'_>,
    accounts: &[(&Account, &DueSeconds)],
    recorded_at: Timestamp,
) -> Result<Vec<AccountId>> {
    let mut rows = Vec::with_capacity(accounts.len());
    for (account, due) in accounts {
        rows.push((*account, account.waiting.as_ref().map(json).transpose()?, daily_due(due)));
    }
    let head =
        "insert into accounts (name, currency, opened_at, recorded_at, version, settled_at, state, suspended_for,
        verified, card, resume_on_deposit, wallet, brought_in, trial_ends_at, trial_ended, trial_traffic_used,
        trial_traffic_cost, trial_traffic_charged, trial_traffic_due_after, daily_paid_until, invoiced_until,
        next_transfer, next_event, next_service, next_invoice, next_charge, waiting, daily_due_at) ";
    let returned = work
        .values_returning(
            head,
            &rows,
            |cells, (account, waiting, daily_due)| {
                let (state, suspended_for) = standing_names(account.standing);
                let trial = account.trial.as_ref();
                cells
                    .push_bind(&account.name)
                    .push_bind(account.currency.code())
                    .push_bind(account.opened_at.secs())
                    .push_bind(recorded_at.secs())
                    .push_bind(0_i64)
                    .push_bind(account.settled_at.secs())
                    .push_bind(state)
                    .push_bind(suspended_for)
                    .push_bind(account.verified)
                    .push_bind(account.card.as_deref())
                    .push_bind(account.resume_on_deposit)
                    .push_bind(account.wallet.get())
                    .push_bind(account.brought_in.get())
                    .push_bind(trial.map(|trial| trial.ends_at.secs()))
                    .push_bind(trial.map(|trial| trial.ended))
                    .push_bind(trial.map(|trial| trial.traffic_used.get()))
                    .push_bind(trial.map(|trial| trial.traffic_cost.pico().to_string()))
                    .push_bind(trial.map(|trial| trial.traffic_charged.get()))
                    .push_bind(trial.map(|trial| trial.traffic_due_after.secs()))
                    .push_bind(account.daily_paid_until.secs())
                    .push_bind(account.invoiced_until.secs())
                    .push_bind(account.next.transfer)
                    .push_bind(account.next.event)
                    .push_bind(account.next.service)
                    .push_bind(account.next.invoice)
                    .push_bind(account.next.charge)
                    .push_bind(waiting.as_deref())
                    .push_bind(daily_due.map(Timestamp::secs));
            },
            " returning id, name",
        )
        .await?;
    let mut ids = HashMap::with_capacity(returned.len());
    for row in returned {
        ids.insert(row.get::<String>(1)?, AccountId(row.get(0)?));
    }
    let id_of = |account: &Account| ids.get(&account.name).copied().ok_or(StoreError::Driver(sqlx::Error::RowNotFound));
    accounts.iter().map(|(account, _)| id_of(account)).collect()
}
