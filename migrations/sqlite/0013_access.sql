-- Who may ask for something from outside, what was asked for and what it brought about.

-- The secret itself is shown once and never kept. A key with an account acts for that one alone.
create table api_keys (
    id integer not null primary key autoincrement,
    -- By which it is found, and shown.
    prefix text not null constraint api_key_prefix_is_free unique,
    digest text not null constraint api_key_digest_is_whole check (length(digest) = 64),
    name text not null,
    scope text not null
        constraint api_key_scope_is_known check (scope in ('admin', 'operator', 'panel', 'account', 'read')),
    account_id integer references accounts (id),
    -- The key that made it: where that one is refused, so is this.
    made_by integer references api_keys (id),
    created_at integer not null,
    created_by text not null,
    expires_at integer,
    revoked_at integer,
    revoked_by text,
    last_used_at integer,
    constraint api_key_is_of_an_account check ((scope = 'account') = (account_id is not null)),
    constraint api_key_of_an_account_expires check (account_id is null or expires_at is not null),
    constraint api_key_revocation_is_whole check ((revoked_at is null) = (revoked_by is null))
) strict;

create index api_keys_of_account on api_keys (account_id);
create index api_keys_made_by on api_keys (made_by);
create index api_keys_by_end on api_keys (expires_at) where account_id is not null;

create trigger api_key_stays before update on api_keys
when new.id <> old.id or new.prefix <> old.prefix or new.digest <> old.digest or new.name <> old.name
    or new.scope <> old.scope or new.account_id is not old.account_id or new.created_at <> old.created_at
    or new.made_by is not old.made_by
    or new.created_by <> old.created_by or new.expires_at is not old.expires_at
    or (old.revoked_at is not null and new.revoked_at is not old.revoked_at)
begin
    select raise(abort, 'api_key_stays');
end;

-- A request that may come again, written with what it brought about; its answer where that was known by then, or
-- right behind it.
create table requests (
    key_id integer not null references api_keys (id),
    idempotency_key text not null,
    -- Of method, path and body.
    digest text not null,
    -- The try that did it.
    attempt text not null,
    at integer not null,
    status integer,
    answer text,
    primary key (key_id, idempotency_key),
    constraint request_answer_is_whole check ((status is null) = (answer is null))
) strict, without rowid;

create index requests_by_second on requests (at);

-- Every change that somebody or some job made, in the order in which they were written. A row is sealed by the hash
-- over it and over the row before it, and then stays as it is.
create table audit_log (
    number integer not null primary key autoincrement,
    at integer not null,
    actor text not null,
    -- The same for all that one request brought about.
    request text not null constraint audit_request_is_free unique,
    action text not null,
    object text not null,
    account_id integer references accounts (id),
    result text not null,
    before text,
    after text,
    -- Its place in the chain, without a gap, and the hash: given behind it, as soon as the rows before it have theirs.
    sealed integer constraint audit_seal_is_free unique,
    hash text,
    constraint audit_seal_is_whole check ((sealed is null) = (hash is null))
) strict;

create index audit_log_of_account on audit_log (account_id, sealed) where account_id is not null;
create index audit_log_unsealed on audit_log (number) where hash is null;

create trigger audit_log_stays before update on audit_log
when old.hash is not null or new.number <> old.number or new.at <> old.at or new.actor <> old.actor
    or new.request <> old.request or new.action <> old.action or new.object <> old.object
    or new.account_id is not old.account_id or new.result <> old.result or new.before is not old.before
    or new.after is not old.after
begin
    select raise(abort, 'audit_log_stays');
end;

create trigger audit_log_is_kept before delete on audit_log
begin
    select raise(abort, 'audit_log_is_kept');
end;

-- What public ids are made with: they tell nobody how many there are.
create table id_secrets (
    id integer not null primary key check (id = 1),
    secret text not null
) strict;

create trigger id_secret_stays before update on id_secrets
begin
    select raise(abort, 'id_secret_stays');
end;

create trigger id_secret_is_kept before delete on id_secrets
begin
    select raise(abort, 'id_secret_is_kept');
end;
