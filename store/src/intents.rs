//! Charges of saved cards: found when unanswered, answered once.

use rules::{AccountId, Answer, Intent, Timestamp};

use crate::cells::{Cells, Problem};
use crate::load::read_intent;
use crate::pages::read_rows;
use crate::receipts::{self, NewReceipt};
use crate::sql::{self, Transaction};
use crate::{Result, Store, StoreError};

/// A charge that waits for its answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenIntent {
    pub account: AccountId,
    pub intent: Intent,
    /// When it was committed: its two minutes count from here (rule 11.7).
    pub recorded_at: Timestamp,
}

/// What became of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answered {
    /// It is the one that the books will use.
    First,
    /// It came after a pending one; a success is money in the inbox now.
    Late,
    /// Another answer stands, or this one was known.
    Known,
}

/// Under which provider a late success of a card is kept; its payment is the intent's key.
pub const CARD: &str = "card";

macro_rules! select_open {
    () => {
        "select account_id, recorded_at, key, purpose, card, amount, due_at, answer from intents where answer is null"
    };
}

impl Store {
    /// Charges without an answer, in the order in which they fell due.
    pub async fn intents_open(&self, limit: u32) -> Result<Vec<OpenIntent>> {
        let rows = sql::query(concat!(select_open!(), " order by due_at, account_id, key limit $1"))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        read_rows("intents", &rows, read_open)
    }

    /// The same of these accounts alone.
    pub async fn intents_open_of(&self, accounts: &[AccountId]) -> Result<Vec<OpenIntent>> {
        const AT_ONCE: usize = 1_024;
        let mut open = Vec::new();
        for accounts in accounts.chunks(AT_ONCE) {
            let keys: Vec<i64> = accounts.iter().map(|account| account.0).collect();
            let question =
                sql::query(concat!(select_open!(), " and account_id = any($1) order by due_at, account_id, key"));
            open.extend(read_rows("intents", &question.bind(keys).fetch_all(self.readers()).await?, read_open)?);
        }
        Ok(open)
    }

    /// Stores an answer. The first one stands; a success after a pending one is a receipt (rule 11.7).
    pub async fn intent_answer(
        &self,
        account: AccountId,
        key: &str,
        answer: Answer,
        at: Timestamp,
    ) -> Result<Answered> {
        let mut transaction = self.write_beside().await?;
        // First, so that no other answer comes meanwhile.
        touch(&mut transaction, account).await?;
        let answered = store_answer(&mut transaction, account, key, answer, at).await?;
        if answered != Answered::Known {
            transaction.commit().await?;
        }
        Ok(answered)
    }
}

fn read_open(cells: &mut Cells<'_>) -> std::result::Result<OpenIntent, Problem> {
    let (account, recorded_at) = (AccountId(cells.int()?), cells.time()?);
    Ok(OpenIntent { account, recorded_at, intent: read_intent(cells)? })
}

async fn store_answer(
    connection: &mut Transaction,
    account: AccountId,
    key: &str,
    answer: Answer,
    at: Timestamp,
) -> Result<Answered> {
    let row = sql::query("select answer, amount, late_answer from intents where account_id = $1 and key = $2")
        .bind(account.0)
        .bind(key)
        .fetch_optional(&mut *connection)
        .await?
        .ok_or_else(|| StoreError::NotFound { what: "intent", key: key.to_owned() })?;
    let standing: Option<String> = row.get(0)?;
    let late: Option<String> = row.get(2)?;
    let (change, answered) = match standing.as_deref() {
        None => {
            ("update intents set answer = $3, answered_at = $4 where account_id = $1 and key = $2", Answered::First)
        }
        Some("pending") if answer != Answer::Pending && late.is_none() => {
            ("update intents set late_answer = $3, late_at = $4 where account_id = $1 and key = $2", Answered::Late)
        }
        Some(_) => return Ok(Answered::Known),
    };
    sql::query(change).bind(account.0).bind(key).bind(answer.name()).bind(at.secs()).execute(&mut *connection).await?;
    if answered == Answered::Late && answer == Answer::Succeeded {
        let amount = rules::Micros::new(row.get(1)?);
        let kind = rules::ReceiptKind::LateCardSuccess;
        let receipt = NewReceipt { account, provider: CARD, payment: key, kind, amount, provider_at: None };
        receipts::insert(connection, &receipt, at).await?;
    }
    Ok(answered)
}

/// Moves the account's version, so that a decision that was made without the news is refused.
pub async fn touch(connection: &mut Transaction, account: AccountId) -> Result<()> {
    sql::query("update accounts set version = version + 1 where id = $1").bind(account.0).execute(connection).await?;
    Ok(())
}
