//! What a request is and what it brought about, written in the transaction that changes something for it: so it is
//! known whether it was done, whoever dies, and who did it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rules::{AccountId, Changes, Timestamp};

use crate::keys::KeyId;
use crate::sql::{self, Transaction, Work};
use crate::{Result, Store, StoreError};

/// A request that may come again: by whose key, as what, and the digest of all that it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repeatable {
    pub key: KeyId,
    pub idempotency_key: String,
    pub digest: String,
}

macro_rules! request_columns {
    () => {
        "key_id, idempotency_key, digest, attempt, at, status, answer"
    };
}

macro_rules! audit_columns {
    () => {
        "at, actor, request, action, object, account_id, result, before, after"
    };
}

/// Between a request's key and a part's number. No key that comes from outside has it.
const PART: char = ' ';
const AFTER_PARTS: char = '!';

impl Repeatable {
    /// A part of it, which is done or not by itself.
    #[must_use]
    pub fn part(&self, number: usize) -> Self {
        let idempotency_key = format!("{}{PART}{number}", self.idempotency_key);
        Self { idempotency_key, ..self.clone() }
    }
}

/// What became of a request, as far as it is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    pub result: String,
    /// The object before and after, as JSON.
    pub before: Option<String>,
    pub after: Option<String>,
    /// Status and body of the answer.
    pub answer: Option<(u16, String)>,
}

impl Default for Told {
    fn default() -> Self {
        Self { result: "done".to_owned(), before: None, after: None, answer: None }
    }
}

/// Says what is about to be committed.
pub type Tells = Box<dyn Fn(&Changes) -> Told + Send + Sync>;

/// A request. A store that has one ([`Store::noting`]) writes it with the first transaction that commits.
pub struct Note {
    of: NewNote,
    tells: Mutex<Option<Tells>>,
    told: Mutex<Told>,
    /// What was told is so: it was committed.
    stands: AtomicBool,
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Note")
            .field("request", &self.of.request)
            .field("action", &self.of.action)
            .finish_non_exhaustive()
    }
}

/// What a note is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewNote {
    /// The request's id, of this try alone.
    pub request: String,
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub object: String,
    pub account: Option<AccountId>,
    pub repeatable: Option<Repeatable>,
}

impl Note {
    pub fn new(of: NewNote) -> Self {
        Self { of, tells: Mutex::default(), told: Mutex::default(), stands: AtomicBool::new(false) }
    }

    /// The same, told from the decision that is about to be committed.
    #[must_use]
    pub fn telling(self, tells: impl Fn(&Changes) -> Told + Send + Sync + 'static) -> Self {
        self.tell_by(tells);
        self
    }

    fn tell_by(&self, tells: impl Fn(&Changes) -> Told + Send + Sync + 'static) {
        *self.tells.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(tells));
    }

    /// What is known by now.
    pub fn tell(&self, told: Told) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }

    /// Of which request it is.
    pub const fn repeatable(&self) -> Option<&Repeatable> {
        self.of.repeatable.as_ref()
    }

    pub fn told(&self) -> Told {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The answer, once what it tells of is committed.
    pub fn answer(&self) -> Option<(u16, String)> {
        self.told().answer.filter(|_| self.stands.load(Ordering::SeqCst))
    }

    pub(crate) fn stands(&self) {
        self.stands.store(true, Ordering::SeqCst);
    }

    /// Once in each transaction: of the first that commits it stays.
    pub(crate) async fn write(&self, transaction: &mut Transaction) -> Result<()> {
        let told = self.told();
        if let Some(repeatable) = &self.of.repeatable {
            self.claim(transaction, repeatable, told.answer.as_ref()).await?;
        }
        sql::query(concat!(
            "insert into audit_log (",
            audit_columns!(),
            ") values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (request) do nothing"
        ))
        .bind(self.of.at.secs())
        .bind(&self.of.actor)
        .bind(&self.of.request)
        .bind(&self.of.action)
        .bind(&self.of.object)
        .bind(self.of.account.map(|account| account.0))
        .bind(told.result)
        .bind(told.before)
        .bind(told.after)
        .execute(transaction)
        .await?;
        Ok(())
    }

    /// The request is this try's, or another one did it.
    async fn claim(
        &self,
        transaction: &mut Transaction,
        Repeatable { key, idempotency_key, digest }: &Repeatable,
        answer: Option<&(u16, String)>,
    ) -> Result<()> {
        let (status, body) = answer.map(|(status, body)| (i64::from(*status), body.as_str())).unzip();
        let written = sql::query(concat!(
            "insert into requests (",
            request_columns!(),
            ") values ($1, $2, $3, $4, $5, $6, $7) on conflict (key_id, idempotency_key) do nothing"
        ))
        .bind(key.0)
        .bind(idempotency_key)
        .bind(digest)
        .bind(&self.of.request)
        .bind(self.of.at.secs())
        .bind(status)
        .bind(body)
        .execute(&mut *transaction)
        .await?;
        if written > 0 {
            return Ok(());
        }
        let attempt: Option<String> =
            sql::query_scalar("select attempt from requests where key_id = $1 and idempotency_key = $2")
                .bind(key.0)
                .bind(idempotency_key)
                .fetch_optional(&mut *transaction)
                .await?;
        if attempt.as_deref() != Some(&self.of.request) {
            return Err(StoreError::DoneBefore);
        }
        // What waited for a card is told behind the answer of that.
        if let Some((status, body)) = answer {
            let late = late_answer().bind(key.0).bind(idempotency_key);
            late.bind(i64::from(*status)).bind(body).execute(transaction).await?;
        }
        Ok(())
    }
}

/// Writes notes of requests that nobody has begun, as they were told: one that was begun refuses all of them.
pub async fn write_new(work: &mut Work<'_>, notes: &[&Note]) -> Result<()> {
    let told: Vec<(&NewNote, Told)> = notes.iter().map(|note| (&note.of, note.told())).collect();
    let repeatable = told.iter().filter_map(|(of, told)| Some((*of, told, of.repeatable.as_ref()?)));
    work.insert("requests", request_columns!(), &repeatable.collect::<Vec<_>>(), |cells, (of, told, repeatable)| {
        let (status, body) = told.answer.as_ref().map(|(status, body)| (i64::from(*status), body.as_str())).unzip();
        cells
            .push_bind(repeatable.key.0)
            .push_bind(&repeatable.idempotency_key)
            .push_bind(&repeatable.digest)
            .push_bind(&of.request)
            .push_bind(of.at.secs())
            .push_bind(status)
            .push_bind(body);
    })
    .await?;
    work.insert("audit_log", audit_columns!(), &told, |cells, (of, told)| {
        cells
            .push_bind(of.at.secs())
            .push_bind(&of.actor)
            .push_bind(&of.request)
            .push_bind(&of.action)
            .push_bind(&of.object)
            .push_bind(of.account.map(|account| account.0))
            .push_bind(&told.result)
            .push_bind(told.before.as_deref())
            .push_bind(told.after.as_deref());
    })
    .await
}

/// The answer of a request that has none yet.
fn late_answer<'v>() -> sql::Statement<'v> {
    sql::query(
        "update requests set status = $3, answer = $4
        where key_id = $1 and idempotency_key = $2 and status is null",
    )
}

type DoneRow = (String, String, i64, Option<i64>, Option<String>);

fn done_request((idempotency_key, digest, at, status, answer): DoneRow) -> (String, DoneRequest) {
    let status = status.and_then(|status| u16::try_from(status).ok());
    (idempotency_key, DoneRequest { digest, at: Timestamp::from_secs(at), answer: status.zip(answer) })
}

/// A request that was done before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DoneRequest {
    pub digest: String,
    pub at: Timestamp,
    /// None where whoever did it died before it was written.
    pub answer: Option<(u16, String)>,
}

impl Store {
    /// Tells the note of this store, if it has one, what is about to be committed.
    pub fn tell_note(&self, changes: &Changes) {
        let Some(note) = &self.note else { return };
        let tells = note.tells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tells) = &*tells {
            // Told of what is not committed yet, though something was before.
            note.stands.store(false, Ordering::SeqCst);
            note.tell(tells(changes));
        }
    }

    /// What became of the request of this store's note, if it has one.
    pub fn note_result(&self, result: &str) {
        if let Some(note) = &self.note {
            note.tell(Told { result: result.to_owned(), ..note.told() });
        }
    }

    /// Has the note of this store, if it has one that says nothing yet, be told by this.
    pub fn tell_note_by(&self, tells: impl Fn(&Changes) -> Told + Send + Sync + 'static) {
        if let Some(note) = &self.note
            && note.tells.lock().unwrap_or_else(PoisonError::into_inner).is_none()
        {
            note.tell_by(tells);
        }
    }

    /// Keeps a note of what changed nothing, like a refusal.
    pub async fn note_alone(&self, note: &Note) -> Result<()> {
        let mut transaction = self.write_beside().await?;
        note.write(&mut transaction).await?;
        transaction.commit().await
    }

    pub async fn request_done(&self, key: KeyId, idempotency_key: &str) -> Result<Option<DoneRequest>> {
        let row: Option<DoneRow> = sql::query_as(
            "select idempotency_key, digest, at, status, answer from requests
            where key_id = $1 and idempotency_key = $2",
        )
        .bind(key.0)
        .bind(idempotency_key)
        .fetch_optional(self.readers())
        .await?;
        Ok(row.map(|row| done_request(row).1))
    }

    /// What was done of a request that comes in parts, by the parts' numbers.
    pub async fn request_parts_done(&self, key: KeyId, idempotency_key: &str) -> Result<BTreeMap<usize, DoneRequest>> {
        let rows: Vec<DoneRow> = sql::query_as(
            "select idempotency_key, digest, at, status, answer from requests
            where key_id = $1 and idempotency_key > $2 and idempotency_key < $3",
        )
        .bind(key.0)
        .bind(format!("{idempotency_key}{PART}"))
        .bind(format!("{idempotency_key}{AFTER_PARTS}"))
        .fetch_all(self.readers())
        .await?;
        let number = |key: &str| key.rsplit(PART).next().and_then(|number| number.parse().ok());
        let parts = rows.into_iter().map(done_request);
        Ok(parts.filter_map(|(key, done)| Some((number(&key)?, done))).collect())
    }

    /// Writes the answer of a request that has none; the one that stands then.
    pub async fn request_answer(&self, repeatable: &Repeatable, (status, body): (u16, &str)) -> Result<()> {
        let late = late_answer().bind(repeatable.key.0).bind(&repeatable.idempotency_key);
        late.bind(i64::from(status)).bind(body).execute(self.writer()?).await?;
        Ok(())
    }

    /// Forgets requests from before a second; how many.
    pub async fn requests_forget(&self, before: Timestamp, most: u32) -> Result<u64> {
        let requests = "delete from requests where (key_id, idempotency_key) in (
            select key_id, idempotency_key from requests where at < $1 order by at limit $2)";
        self.forget(requests, before, most).await
    }

    /// Deletes what a statement finds from before a second, so many rows at most; how many there were.
    pub(crate) async fn forget(&self, delete: &'static str, before: Timestamp, most: u32) -> Result<u64> {
        let mut transaction = self.write_beside().await?;
        let question = sql::query(delete).bind(before.secs()).bind(i64::from(most));
        let forgotten = question.execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(forgotten)
    }
}
