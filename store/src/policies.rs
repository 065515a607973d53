//! The numbers that a hoster may change, as the daemon has them: every program on these books goes by the same.

use rules::{Policy, Timestamp};

use crate::sql;
use crate::write::json;
use crate::{Result, Store, StoreError};

impl Store {
    /// As the daemon that started last had them; none in books that no daemon served.
    pub async fn policy(&self) -> Result<Option<Policy>> {
        let body: Option<String> =
            sql::query_scalar("select body from policies").fetch_optional(self.readers()).await?;
        let read = |body: String| {
            serde_json::from_str(&body)
                .map_err(|error| StoreError::CorruptTable { table: "policies", problem: error.to_string() })
        };
        body.map(read).transpose()
    }

    /// Keeps the numbers of a daemon that starts, and tells whether accounts fall due by them already: where it answers
    /// false, their due seconds are to be told anew, and then [`Store::policy_followed`].
    pub async fn policy_keep(&self, policy: &Policy, now: Timestamp) -> Result<bool> {
        let body = json(policy)?;
        let mut transaction = self.write().await?;
        let kept = sql::query_as("select body, followed from policies");
        let kept: Option<(String, bool)> = kept.fetch_optional(&mut transaction).await?;
        if let Some((_, followed)) = kept.filter(|(kept, _)| *kept == body) {
            return Ok(followed);
        }
        sql::query(
            "insert into policies (id, body, followed, recorded_at) values (1, $1, $2, $3)
            on conflict (id) do update set body = excluded.body, followed = excluded.followed,
                recorded_at = excluded.recorded_at",
        )
        .bind(&body)
        .bind(false)
        .bind(now.secs())
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(false)
    }

    /// Accounts fall due by these numbers, if they are still those that are kept.
    pub async fn policy_followed(&self, policy: &Policy) -> Result<()> {
        let mut transaction = self.write().await?;
        let follow = sql::query("update policies set followed = $1 where body = $2").bind(true).bind(json(policy)?);
        follow.execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }
}
