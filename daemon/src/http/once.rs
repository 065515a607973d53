//! Each change once: the same `Idempotency-Key` with the same request gets the first answer again, also from whoever
//! takes over after a crash. The request is written in the transaction that changes something for it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use axum::http::StatusCode;
use jobs::Office;
use rules::{AccountId, Timestamp};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use store::{DoneRequest, NewNote, Note, Repeatable, Tells, Told, hex};

use crate::http::operation::{Answer, Asked, Content, Handled};
use crate::http::problem::Problem;

const LONGEST_KEY: usize = 255;
pub const AN_IDEMPOTENCY_KEY: &str =
    "an Idempotency-Key is 1 to 255 letters, digits and signs of ASCII, without spaces";

/// What a handler needs to do something once.
#[derive(Clone, Default)]
pub struct Once {
    repeatable: Option<Repeatable>,
    action: &'static str,
    /// When another try did it, which died before its answer was written: what it came to is read, nothing is done.
    pub done_at: Option<Timestamp>,
    /// The note that was written with the change.
    note: Arc<std::sync::OnceLock<Arc<Note>>>,
}

impl Once {
    /// Whether another try did it and died before its answer was written.
    pub fn was_done(&self) -> bool {
        self.done_at.is_some()
    }

    /// That of a part, which is done or not by itself.
    pub fn part(&self, number: usize) -> Self {
        let repeatable = self.repeatable.as_ref().map(|whole| whole.part(number));
        Self { repeatable, action: self.action, ..Self::default() }
    }

    /// What was done of the parts by an earlier try: the answers by the parts' numbers.
    pub async fn parts_done(&self, asked: &Asked) -> Handled<BTreeMap<usize, Answer>> {
        let Some(whole) = &self.repeatable else { return Ok(BTreeMap::new()) };
        let done = asked.face.office.store.request_parts_done(whole.key, &whole.idempotency_key).await?;
        let mut answers = BTreeMap::new();
        for (number, known) in done {
            if let Some(answer) = replay(whole, known)? {
                answers.insert(number, answer);
            }
        }
        Ok(answers)
    }

    /// Keeps the request by itself, of which the parts are then done.
    pub async fn claim(&self, asked: &Asked, object: String) -> Handled<()> {
        let note = Arc::new(self.new_note(asked, object, None, self.repeatable.clone()));
        asked.face.office.store.note_alone(&note).await?;
        let _ = self.note.set(note);
        Ok(())
    }

    /// The office in which the change is made, with its note. `tells` says what is about to be committed.
    pub fn office(&self, asked: &Asked, object: String, account: Option<AccountId>, tells: Option<Tells>) -> Office {
        // What it came to is there, and only read.
        if self.was_done() {
            return asked.face.office.clone();
        }
        let note = self.new_note(asked, object, account, self.repeatable.clone());
        let note = Arc::new(match tells {
            Some(tells) => note.telling(tells),
            None => note,
        });
        // A handler makes one change.
        let note = self.note.get_or_init(|| note).clone();
        asked.face.office.noting(note)
    }

    /// A note that keeps no answer, of what must not be kept.
    pub fn alone(&self, asked: &Asked, object: String, account: Option<AccountId>) -> Arc<Note> {
        Arc::new(self.new_note(asked, object, account, None))
    }

    /// The note of [`Self::office`]; none where another try did it.
    pub fn note(&self) -> Option<Arc<Note>> {
        self.note.get().cloned()
    }

    fn new_note(
        &self,
        asked: &Asked,
        object: String,
        account: Option<AccountId>,
        repeatable: Option<Repeatable>,
    ) -> Note {
        Note::new(NewNote {
            request: asked.request.clone(),
            at: asked.now,
            actor: asked.caller.actor(),
            action: self.action.to_owned(),
            object,
            account,
            repeatable,
        })
    }

    /// Whether the answer stands already, written with what it tells of.
    pub fn is_answered(&self) -> bool {
        self.note.get().is_some_and(|note| note.answer().is_some())
    }

    /// What is known of the object before and after the change, for the audit log.
    pub fn tell(&self, told: Told) {
        if let Some(note) = self.note.get() {
            note.tell(told);
        }
    }
}

/// Answers a request that changes something.
pub async fn answer<B, R, Doing, F>(
    asked: Asked,
    action: &'static str,
    success: StatusCode,
    read: impl Fn(&Asked) -> Handled<B>,
    handle: F,
) -> Handled<Answer>
where
    R: Serialize,
    Doing: Future<Output = Handled<R>>,
    F: Fn(Asked, B, Once) -> Doing,
{
    let repeatable = repeatable(&asked)?;
    if !asked.query.is_empty() {
        let detail = "a POST has no query: what it says stands in its body";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_input", detail).of_field("query"));
    }
    let store = &asked.face.office.store.clone();
    let known = store.request_done(repeatable.key, &repeatable.idempotency_key).await?;
    let mut once = Once { repeatable: Some(repeatable.clone()), action, ..Once::default() };
    if let Some(known) = known {
        let at = known.at;
        match replay(&repeatable, known)? {
            Some(answer) => return Ok(answer),
            None => once.done_at = Some(at),
        }
    }
    let input = read(&asked)?;
    asked.face.refuse_asleep().await?;
    let handled = handle(asked, input, once.clone()).await;
    if let Err(problem) = &handled
        && problem.code == DONE_BEFORE
    {
        // Another try was faster: its answer is there, or is written right behind.
        let known = store.request_done(repeatable.key, &repeatable.idempotency_key).await?;
        if let Some(answer) = known.map(|known| replay(&repeatable, known)).transpose()?.flatten() {
            return Ok(answer);
        }
        let detail = "the same request is being done just now: ask again for its answer";
        return Err(Problem::new(StatusCode::CONFLICT, "request_in_progress", detail).after(1));
    }
    // As it was told with the commit: that is what a later try gets as well.
    if let Some((status, body)) = once.note.get().and_then(|note| note.answer()) {
        return Ok(told(status, body, false));
    }
    let body = serde_json::to_string(&handled?).unwrap_or_default();
    if (once.was_done() || once.note.get().is_some())
        && let Err(error) = store.request_answer(&repeatable, (success.as_u16(), &body)).await
    {
        // It is done all the same, and who asks again gets it read from the books.
        tracing::warn!(%error, "an answer could not be kept");
    }
    Ok(told(success.as_u16(), body, false))
}

pub const DONE_BEFORE: &str = "done_before";

fn told(status: u16, body: String, is_replay: bool) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = if status.is_success() { "application/json" } else { "application/problem+json" };
    Answer { status, content_type, content: Content::Whole(body), is_replay }
}

/// The answer that was given, if it is the same request.
fn replay(repeatable: &Repeatable, known: DoneRequest) -> Handled<Option<Answer>> {
    if known.digest != repeatable.digest {
        let detail = "this Idempotency-Key came with another request before: give each request a key of its own";
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail);
        return Err(problem.of_field("Idempotency-Key"));
    }
    Ok(known.answer.map(|(status, body)| told(status, body, true)))
}

fn repeatable(asked: &Asked) -> Handled<Repeatable> {
    let Some(key) = &asked.idempotency_key else {
        let why = "a POST needs an Idempotency-Key, a text of your own for this one request, like a UUID";
        return Err(Problem::bad_idempotency_key(why));
    };
    let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if !(1..=LONGEST_KEY).contains(&key.len()) || !is_visible {
        return Err(Problem::bad_idempotency_key(AN_IDEMPOTENCY_KEY));
    }
    let digest = Sha256::new().chain_update(&asked.uri).chain_update([0]).chain_update(&asked.body).finalize();
    Ok(Repeatable { key: asked.caller.key.id, idempotency_key: key.clone(), digest: hex(&digest) })
}
