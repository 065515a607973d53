//! The audit log's chain: each hash once more from its row and the one before.

use super::Violation;
use crate::Result;
use crate::audit;
use crate::sql::Transaction;

const PAGE: u32 = 1_000;

/// Walks the chain from its first place; places follow one another.
pub async fn check(connection: &mut Transaction, found: &mut Vec<Violation>) -> Result<()> {
    let (mut place, mut hash) = (0, String::new());
    loop {
        let rows = audit::sealed(&mut *connection, place, PAGE).await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            let Some((sealed, said)) = &row.seal else { continue };
            if *sealed != place + 1 {
                let detail = format!("audit log: behind place {place} comes {sealed}");
                found.push(Violation::of(None, "audit_log_is_chained", detail));
            }
            let expected = row.hash(&hash)?;
            if expected != *said {
                let detail = format!("audit log: row {} or the one before it is not what was sealed", row.number);
                found.push(Violation::of(row.account, "audit_log_is_chained", detail));
            }
            place = *sealed;
            hash.clone_from(said);
        }
    }
}
