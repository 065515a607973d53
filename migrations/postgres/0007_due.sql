-- What the jobs look for. `due` has a row for each kind of due work of an account that has a second (the
-- daily one is a column of the account), written only when that second moves. An account that could not be
-- settled is parked: the others go on, and it is tried again later.

create table due (
    account_id bigint not null references accounts (id),
    kind text collate "C" not null constraint due_kind_is_known
        check (kind in ('term', 'retention', 'invoice', 'collection', 'trial')),
    at bigint,
    primary key (account_id, kind)
);

create index due_by_second on due (kind, at, account_id) where at is not null;

create table parked (
    account_id bigint not null primary key references accounts (id),
    error text collate "C" not null,
    parked_at bigint not null,
    tries bigint not null check (tries >= 1),
    next_try_at bigint not null
);

create index parked_by_next_try on parked (next_try_at, account_id);
