-- What admins and the daemon say about jobs and time. A job's slots count from a second on: editing its
-- schedule or taking it back into work never opens a run for what is older.

create table job_controls (
    job text collate "C" not null primary key,
    -- The kind of due work that the job looks for: while it is paused, accounts with such work wait.
    due_kind text collate "C",
    -- The schedule that its slots are counted by, and since when it is.
    cron text collate "C" not null,
    cron_since bigint not null,
    -- Slots up to this second open no run by themselves; the next one's run covers them.
    slots_after bigint not null,
    paused_at bigint,
    paused_by text collate "C",
    pause_reason text collate "C",
    constraint job_pause_is_whole check (
        (paused_at is null) = (paused_by is null) and (paused_at is null) = (pause_reason is null)
    )
);

-- A clock that jumped: while its row stands, that daemon settles nothing.
create table clock_doubts (
    -- Whose clock it is.
    worker text collate "C" not null primary key,
    since bigint not null,
    -- What the clock said, and what it should have said.
    observed_at bigint not null,
    expected_at bigint not null,
    -- An admin says that the clock is right, and when by that clock.
    confirmed_at bigint,
    confirmed_by text collate "C",
    constraint clock_confirmation_is_whole check ((confirmed_at is null) = (confirmed_by is null))
);

-- What is held counts for all accounts, like a price list: whatever was decided before is decided again.
create trigger held_run_moves_revision after insert on runs for each row
when (new.state = 'held')
execute function move_revision();

create trigger released_run_moves_revision after update on runs for each row
when ((old.state = 'held') <> (new.state = 'held'))
execute function move_revision();

create trigger pause_moves_revision after update on job_controls for each row
when ((old.paused_at is null) <> (new.paused_at is null))
execute function move_revision();

-- What nobody may do: accounts with such work due wait for a release, or for the job to be taken back into work.
create view waited_for as
    select due_kind from runs where state = 'held' and due_kind is not null
    union all
    select due_kind from job_controls where paused_at is not null and due_kind is not null;
