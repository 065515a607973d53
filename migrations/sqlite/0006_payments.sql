-- Both ways in which money meets the outside. An intent is committed before its call, so that a crash in
-- between is found and repeated under the same key; its first answer is history and never changes. A receipt
-- is the proof of a payment, keyed on the payment and not on the event that told of it.

create table intents (
    account_id integer not null references accounts (id),
    key text not null constraint intent_key_is_free unique,
    -- JSON: what the charge is for.
    purpose text not null,
    card text not null,
    amount integer not null constraint intent_amount_is_positive check (amount > 0),
    due_at integer not null,
    recorded_at integer not null,
    answer text constraint intent_answer_is_known check (answer in ('succeeded', 'failed', 'pending')),
    answered_at integer,
    -- When the books used the answer.
    used_at integer,
    -- What came after a pending answer: only a success has an effect, as a receipt.
    late_answer text check (late_answer in ('succeeded', 'failed')),
    late_at integer,
    primary key (account_id, key),
    constraint intent_answer_has_time check ((answer is null) = (answered_at is null)),
    constraint intent_used_is_answered check (used_at is null or answer is not null),
    constraint intent_late_follows_pending check (
        (late_answer is null) = (late_at is null) and (late_answer is null or answer = 'pending')
    )
) strict, without rowid;

create index intents_without_answer on intents (due_at, account_id) where answer is null;
create index intents_unused on intents (account_id, answered_at) where used_at is null;

create trigger intent_answer_stays before update on intents
when (old.answer is not null and new.answer is not old.answer)
    or (old.used_at is not null and new.used_at is not old.used_at)
    or (old.late_answer is not null and new.late_answer is not old.late_answer)
    or new.amount <> old.amount or new.card <> old.card or new.purpose <> old.purpose or new.due_at <> old.due_at
begin
    select raise(abort, 'intent_answer_stays');
end;

create table receipts (
    id integer not null primary key autoincrement,
    provider text not null,
    payment text not null,
    kind text not null constraint receipt_kind_is_known check (kind in ('deposit', 'dispute', 'late_card_success')),
    account_id integer not null references accounts (id),
    amount integer not null constraint receipt_amount_is_positive check (amount > 0),
    -- The second at which the proof was first durable here (rule 11.6); the provider's own moves nothing.
    received_at integer not null,
    provider_at integer,
    -- When the books took it in, and from which second it counts there.
    applied_at integer,
    effective_at integer,
    constraint receipt_is_taken_once unique (provider, payment, kind),
    constraint receipt_applied_has_second check ((applied_at is null) = (effective_at is null)),
    constraint receipt_counts_after_proof check (effective_at is null or effective_at >= received_at)
) strict;

create index receipts_of_account on receipts (account_id, received_at, id);
create index receipts_unapplied on receipts (account_id, received_at, id) where applied_at is null;

create trigger receipt_stays before update on receipts
when old.applied_at is not null
    or new.provider <> old.provider or new.payment <> old.payment or new.kind <> old.kind
    or new.account_id <> old.account_id or new.amount <> old.amount or new.received_at <> old.received_at
begin
    select raise(abort, 'receipt_stays');
end;
