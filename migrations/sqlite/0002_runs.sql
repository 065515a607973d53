-- What the jobs did: a row for each run, and for each shard of it how far it came. The rows of calendar
-- slots prove that no midnight is missing; (job, slot) elects the one daemon that opens a run. Runs that
-- an admin asks for and sweeps have no slot, so they never take one's place.

create table runs (
    id integer not null primary key,
    job text not null,
    -- The kind of due work that the job looks for: while it is held, accounts with such work wait.
    due_kind text,
    slot integer,
    -- How many slots it settles, with those that it covers.
    slots integer not null check (slots >= 1),
    asked_by text not null,
    -- An admin may ask for a later second.
    starts_at integer not null,
    -- A failed run is not run again: a new one takes its place and points to it.
    retry_of integer references runs (id),
    state text not null
        constraint run_state_is_known check (state in ('queued', 'running', 'done', 'failed', 'held', 'cancelled')),
    -- JSON: what it would do, counted before its first commit.
    preview text,
    -- Why it was held, and who let it go on.
    held_for text,
    released_at integer,
    released_by text,
    -- Who took back what was asked for before it began, and why.
    cancelled_by text,
    cancelled_for text,
    -- The run whose catching up covers this slot.
    covered_by integer references runs (id),
    opened_at integer not null,
    started_at integer,
    finished_at integer,
    -- Accounts to look at, and looked at.
    total integer not null check (total >= 0),
    done integer not null check (done >= 0),
    -- JSON: amounts by currency, and counts by kind of change.
    moved text not null,
    counts text not null,
    error text,
    constraint run_end_fits_state check ((state in ('done', 'failed', 'cancelled')) = (finished_at is not null)),
    constraint run_held_says_why check (state <> 'held' or held_for is not null),
    constraint run_release_is_whole check (
        (released_at is null) = (released_by is null) and (released_at is null or held_for is not null)
    ),
    constraint run_cancelled_is_whole check (
        (state = 'cancelled') = (cancelled_by is not null) and (cancelled_by is null) = (cancelled_for is null)
    ),
    constraint run_cancelled_had_not_begun check (state <> 'cancelled' or (slot is null and started_at is null)),
    constraint run_covered_is_done check (covered_by is null or (state = 'done' and slot is not null))
) strict;

create unique index run_slot_is_opened_once on runs (job, slot) where slot is not null;
create index runs_of_job on runs (job, id);
-- Asked for each account that is due, and nearly always empty.
create index runs_held on runs (due_kind) where state = 'held';
create index runs_covering on runs (covered_by) where covered_by is not null;
create index runs_retried on runs (retry_of) where retry_of is not null;
create index runs_unfinished on runs (state, id) where state in ('queued', 'running', 'held');

create table run_shards (
    run_id integer not null references runs (id),
    shard integer not null check (shard >= 0),
    first_account integer not null,
    last_account integer not null,
    state text not null constraint shard_state_is_known check (state in ('queued', 'running', 'done')),
    claimed_by text,
    -- Another worker may take the shard over after this second.
    claimed_until integer,
    -- Accounts up to this one are worked off.
    up_to integer not null,
    done integer not null check (done >= 0),
    moved text not null,
    counts text not null,
    finished_at integer,
    primary key (run_id, shard),
    constraint shard_range_is_ordered check (first_account <= last_account),
    constraint shard_end_fits_state check ((state = 'done') = (finished_at is not null))
) strict, without rowid;
