-- What the jobs look for. `due` has a row for each kind of due work of an account that has a second (the
-- daily one is a column of the account), written only when that second moves. An account that could not be
-- settled is parked: the others go on, and it is tried again later.

create table due (
    account_id integer not null references accounts (id),
    kind text not null constraint due_kind_is_known
        check (kind in ('term', 'retention', 'invoice', 'collection', 'trial')),
    at integer,
    primary key (account_id, kind)
) strict, without rowid;

create index due_by_second on due (kind, at, account_id) where at is not null;

create table parked (
    account_id integer not null primary key references accounts (id),
    error text not null,
    parked_at integer not null,
    tries integer not null check (tries >= 1),
    next_try_at integer not null
) strict;

create index parked_by_next_try on parked (next_try_at, account_id);
