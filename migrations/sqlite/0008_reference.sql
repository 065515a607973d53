-- What holds for all accounts: the price lists in the order in which they take effect, the outages that
-- rule 11.8 knows, and the last second at which a daemon was alive, from which outages are told. Each change
-- of what decisions are made with moves the revision: a commit compares it, so that nothing decided with what
-- held before is written after it.

create table price_lists (
    id integer not null primary key autoincrement,
    effective_at integer not null,
    -- JSON: the plans that the list names, whole.
    body text not null,
    recorded_at integer not null,
    author text not null,
    -- A list that nothing was charged by can be withdrawn: it stays, and is laid no more.
    withdrawn_at integer,
    withdrawn_by text,
    withdrawal_reason text,
    constraint list_withdrawal_is_whole check (
        (withdrawn_at is null) = (withdrawn_by is null) and (withdrawn_at is null) = (withdrawal_reason is null)
    )
) strict;

create trigger published_list_stays before update on price_lists
when new.id <> old.id or new.effective_at <> old.effective_at or new.body <> old.body
    or new.recorded_at <> old.recorded_at or new.author <> old.author or old.withdrawn_at is not null
begin
    select raise(abort, 'published_list_stays');
end;

create trigger published_list_is_kept before delete on price_lists
begin
    select raise(abort, 'published_list_is_kept');
end;

create index price_lists_in_order on price_lists (effective_at, id);

create table outages (
    since integer not null primary key,
    until integer not null,
    recorded_at integer not null,
    constraint outage_is_ordered check (since < until)
) strict;

create table reference_revision (
    id integer not null primary key check (id = 1),
    number integer not null check (number >= 0)
) strict;

insert into reference_revision (id, number) values (1, 0);

create trigger published_list_moves_revision after insert on price_lists
begin
    update reference_revision set number = number + 1 where id = 1;
end;

create trigger changed_list_moves_revision after update on price_lists
begin
    update reference_revision set number = number + 1 where id = 1;
end;

create trigger outage_moves_revision after insert on outages
begin
    update reference_revision set number = number + 1 where id = 1;
end;

-- The numbers that a hoster may change, as the daemon's configuration had them when one started last: whoever works on
-- these books goes by the same.
create table policies (
    id integer not null primary key check (id = 1),
    -- JSON.
    body text not null,
    -- Whether accounts fall due by it already.
    followed integer not null,
    recorded_at integer not null
) strict;

create trigger first_policy_moves_revision after insert on policies
begin
    update reference_revision set number = number + 1 where id = 1;
end;

create trigger changed_policy_moves_revision after update on policies when new.body <> old.body
begin
    update reference_revision set number = number + 1 where id = 1;
end;

create table heartbeats (
    id integer not null primary key check (id = 1),
    last_alive_at integer not null,
    -- Since when there was no long silence: what has waited since before that is not late yet.
    alive_since integer not null,
    constraint heart_beats_forward check (alive_since <= last_alive_at)
) strict;
