//! The audit log: who changed what. Rows are written with the change, and sealed behind it, one after the other, each
//! by a hash over itself and the one before, so that nobody rewrites what was without all that came after.

use rules::{AccountId, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::cells::{Cells, Problem};
use crate::pages::read_rows;
use crate::sql::{self, Work};
use crate::write::json;
use crate::{Result, Store};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRow {
    pub number: i64,
    pub at: Timestamp,
    pub actor: String,
    pub request: String,
    pub action: String,
    pub object: String,
    pub account: Option<AccountId>,
    pub result: String,
    pub before: Option<String>,
    pub after: Option<String>,
    /// Its place in the chain and its hash, once it is sealed.
    pub seal: Option<(i64, String)>,
}

impl AuditRow {
    /// The hash over the one before and all that this row says.
    pub fn hash(&self, before: &str) -> Result<String> {
        let said = json(&(
            before,
            (self.number, self.at.secs(), &self.actor, &self.request, &self.action, &self.object),
            (self.account.map(|account| account.0), &self.result, &self.before, &self.after),
        ))?;
        Ok(hex(&Sha256::digest(said)))
    }
}

/// Bytes as sixteen digits write them.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

macro_rules! select_audit {
    ($tail:literal) => {
        select_audit!("", $tail)
    };
    ($more:literal, $tail:literal) => {
        concat!(
            "select number, at, actor, request, action, object, account_id, result, before, after, sealed, hash",
            $more,
            " from audit_log ",
            $tail
        )
    };
}

impl Store {
    /// What is sealed behind a place in the chain, of one account or of all: nothing comes before it any more.
    pub async fn audit_page(&self, account: Option<AccountId>, after: i64, limit: u32) -> Result<Vec<AuditRow>> {
        let Some(account) = account else { return sealed(self.readers(), after, limit).await };
        let rows = sql::query(select_audit!("where account_id = $1 and sealed > $2 order by sealed limit $3"))
            .bind(account.0)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        read_rows("audit_log", &rows, read)
    }

    /// The newest place of the chain and its hash; 0 and nothing while there is none.
    pub async fn audit_head(&self) -> Result<(i64, String)> {
        let newest =
            sql::query_as("select sealed, hash from audit_log where sealed is not null order by sealed desc limit 1");
        let newest: Option<(i64, String)> = newest.fetch_optional(self.readers()).await?;
        Ok(newest.unwrap_or_default())
    }

    /// The hash at a place of the chain.
    pub async fn audit_hash(&self, place: i64) -> Result<Option<String>> {
        let hash = sql::query_scalar("select hash from audit_log where sealed = $1");
        hash.bind(place).fetch_optional(self.readers()).await
    }

    /// Seals rows that have no hash yet, the oldest first; how many. Where another daemon seals at the same time, one
    /// of the two does it.
    pub async fn audit_seal(&self, most: u32) -> Result<usize> {
        let waiting: i64 =
            sql::query_scalar("select count(*) from (select 1 from audit_log where hash is null limit 1) w")
                .fetch_one(self.readers())
                .await?;
        if waiting == 0 {
            return Ok(0);
        }
        let mut transaction = self.write_beside().await?;
        // In one statement: the head is the one that these rows come behind.
        let rows = sql::query(select_audit!(
            ", (select sealed from audit_log where sealed is not null order by sealed desc limit 1),
            (select hash from audit_log where sealed is not null order by sealed desc limit 1)",
            "where hash is null order by number limit $1"
        ))
        .bind(i64::from(most))
        .fetch_all(&mut transaction)
        .await?;
        let mut seals = Vec::with_capacity(rows.len());
        let (mut place, mut hash) = (0, String::new());
        for (row, head_place, head_hash) in read_rows("audit_log", &rows, read_unsealed)? {
            if seals.is_empty() {
                (place, hash) = (head_place.unwrap_or(0), head_hash.unwrap_or_default());
            }
            place += 1;
            hash = row.hash(&hash)?;
            seals.push((row.number, place, hash.clone()));
        }
        let written = Work::new(&mut transaction, None)
            .values(
                "update audit_log set sealed = v.column2, hash = v.column3 from (",
                &seals,
                |cells, (number, place, hash)| {
                    cells.push_bind(*number).push_bind(*place).push_bind(hash);
                },
                ") as v where audit_log.number = v.column1 and audit_log.hash is null",
            )
            .await?;
        if usize::try_from(written).ok() != Some(seals.len()) {
            return Ok(0);
        }
        transaction.commit().await?;
        Ok(seals.len())
    }
}

/// Sealed rows behind a place in the chain, in its order.
pub async fn sealed<'c>(source: impl Into<sql::Source<'c>>, after: i64, limit: u32) -> Result<Vec<AuditRow>> {
    let rows = sql::query(select_audit!("where sealed > $1 order by sealed limit $2"))
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(source)
        .await?;
    read_rows("audit_log", &rows, read)
}

type Unsealed = (AuditRow, Option<i64>, Option<String>);

fn read_unsealed(cells: &mut Cells<'_>) -> std::result::Result<Unsealed, Problem> {
    Ok((read(cells)?, cells.maybe_int()?, cells.maybe_text()?))
}

fn read(cells: &mut Cells<'_>) -> std::result::Result<AuditRow, Problem> {
    Ok(AuditRow {
        number: cells.int()?,
        at: cells.time()?,
        actor: cells.text()?,
        request: cells.text()?,
        action: cells.text()?,
        object: cells.text()?,
        account: cells.maybe_int()?.map(AccountId),
        result: cells.text()?,
        before: cells.maybe_text()?,
        after: cells.maybe_text()?,
        seal: cells.maybe_int()?.zip(cells.maybe_text()?),
    })
}
