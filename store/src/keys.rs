//! Keys of whoever asks from outside. What is kept of a secret is its digest.

use rules::{AccountId, Timestamp};

use crate::cells::{Cells, Problem};
use crate::pages::read_rows;
use crate::sql;
use crate::{Result, Store, StoreError};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyId(pub i64);

/// What a key may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum KeyScope {
    /// Everything.
    Admin,
    /// Jobs, runs and the clock; no money.
    Operator,
    /// Whatever customers do, for any account.
    Panel,
    /// The same for one account, for minutes.
    Account,
    /// Reads everything and changes nothing.
    Read,
}

impl KeyScope {
    pub const ALL: [Self; 5] = [Self::Admin, Self::Operator, Self::Panel, Self::Account, Self::Read];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Panel => "panel",
            Self::Account => "account",
            Self::Read => "read",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// A key to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewKey<'a> {
    pub prefix: &'a str,
    pub digest: &'a str,
    pub name: &'a str,
    pub scope: KeyScope,
    /// Of the scope [`KeyScope::Account`].
    pub account: Option<AccountId>,
    /// The key that makes it.
    pub made_by: Option<KeyId>,
    pub created_by: &'a str,
    pub expires_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    pub id: KeyId,
    pub prefix: String,
    pub digest: String,
    pub name: String,
    pub scope: KeyScope,
    pub account: Option<AccountId>,
    pub account_name: Option<String>,
    pub created_at: Timestamp,
    pub created_by: String,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it is taken at this second.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

macro_rules! select_keys {
    ($tail:literal) => {
        concat!(
            "select k.id, k.prefix, k.digest, k.name, k.scope, k.account_id, a.name, k.created_at, k.created_by,
                k.expires_at, coalesce(k.revoked_at, maker.revoked_at), k.last_used_at
            from api_keys k left join accounts a on a.id = k.account_id
            left join api_keys maker on maker.id = k.made_by ",
            $tail
        )
    };
}

impl Store {
    /// Forgets keys of accounts that expired before a second, and that nothing names any more; how many.
    pub async fn keys_forget(&self, before: Timestamp, most: u32) -> Result<u64> {
        let keys = "delete from api_keys where id in (
            select id from api_keys where account_id is not null and expires_at < $1
                and not exists (select 1 from requests where key_id = api_keys.id)
            order by expires_at limit $2)";
        self.forget(keys, before, most).await
    }

    pub async fn key_insert(&self, key: &NewKey<'_>, now: Timestamp) -> Result<()> {
        let mut transaction = self.write_beside().await?;
        sql::query(
            "insert into api_keys (prefix, digest, name, scope, account_id, created_at, created_by, expires_at, made_by)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(key.prefix)
        .bind(key.digest)
        .bind(key.name)
        .bind(key.scope.name())
        .bind(key.account.map(|account| account.0))
        .bind(now.secs())
        .bind(key.created_by)
        .bind(key.expires_at.map(Timestamp::secs))
        .bind(key.made_by.map(|maker| maker.0))
        .execute(&mut transaction)
        .await?;
        transaction.commit().await
    }

    pub async fn key(&self, prefix: &str) -> Result<Option<ApiKey>> {
        let row = sql::query(select_keys!("where k.prefix = $1")).bind(prefix).fetch_optional(self.readers()).await?;
        Ok(read_rows("api_keys", row.as_slice(), read_key)?.pop())
    }

    /// Keys of admins, operators and panels, not those that panels made for one account.
    pub async fn keys(&self) -> Result<Vec<ApiKey>> {
        let rows = sql::query(select_keys!("where k.account_id is null order by k.id"));
        read_rows("api_keys", &rows.fetch_all(self.readers()).await?, read_key)
    }

    /// From now on it is refused; false if it was before, or there is none.
    pub async fn key_revoke(&self, prefix: &str, by: &str, now: Timestamp) -> Result<bool> {
        let mut transaction = self.write_beside().await?;
        let revoked =
            sql::query("update api_keys set revoked_at = $2, revoked_by = $3 where prefix = $1 and revoked_at is null")
                .bind(prefix)
                .bind(now.secs())
                .bind(by)
                .execute(&mut transaction)
                .await?;
        if revoked > 0 {
            transaction.commit().await?;
        }
        Ok(revoked > 0)
    }

    /// Notes that keys were used by this second.
    pub async fn keys_used(&self, keys: &[KeyId], now: Timestamp) -> Result<()> {
        let ids: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let mut transaction = self.write_beside().await?;
        sql::query("update api_keys set last_used_at = $2 where id = any($1)")
            .bind(ids)
            .bind(now.secs())
            .execute(&mut transaction)
            .await?;
        transaction.commit().await
    }

    /// What public ids are made with; made at the first call.
    pub async fn id_secret(&self, fresh: &str) -> Result<String> {
        if let Some(secret) = self.known_id_secret().await? {
            return Ok(secret);
        }
        let mut transaction = self.write_beside().await?;
        sql::query("insert into id_secrets (id, secret) values (1, $1) on conflict (id) do nothing")
            .bind(fresh)
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        let missing = || StoreError::NotFound { what: "secret", key: "of public ids".to_owned() };
        self.known_id_secret().await?.ok_or_else(missing)
    }

    async fn known_id_secret(&self) -> Result<Option<String>> {
        sql::query_scalar("select secret from id_secrets where id = 1").fetch_optional(self.readers()).await
    }
}

fn read_key(cells: &mut Cells<'_>) -> std::result::Result<ApiKey, Problem> {
    Ok(ApiKey {
        id: KeyId(cells.int()?),
        prefix: cells.text()?,
        digest: cells.text()?,
        name: cells.text()?,
        scope: {
            let scope = cells.text()?;
            KeyScope::of(&scope).ok_or_else(|| format!("scope: there is no `{scope}`"))?
        },
        account: cells.maybe_int()?.map(AccountId),
        account_name: cells.maybe_text()?,
        created_at: cells.time()?,
        created_by: cells.text()?,
        expires_at: cells.maybe_time()?,
        revoked_at: cells.maybe_time()?,
        last_used_at: cells.maybe_time()?,
    })
}
