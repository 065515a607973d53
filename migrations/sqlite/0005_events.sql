-- The outbox: what happened, written in the transaction that caused it and numbered within its account, so
-- that whoever is told can see that nothing is missing. Deliveries will point here; events never change.

create table events (
    account_id integer not null references accounts (id),
    number integer not null,
    at integer not null,
    recorded_at integer not null,
    kind text not null,
    reason text constraint event_reason_is_known
        check (reason in ('insufficient_funds', 'customer', 'unpaid', 'fraud', 'admin')),
    service integer,
    invoice integer,
    primary key (account_id, number),
    foreign key (account_id, service) references services (account_id, number),
    foreign key (account_id, invoice) references invoices (account_id, number)
) strict;

create trigger event_stays before update on events
begin
    select raise(abort, 'event_stays');
end;

create trigger event_is_kept before delete on events
when old.at >= (select deletable_before from ledger_floor where id = 1)
begin
    select raise(abort, 'event_is_kept');
end;

-- What was asked for and refused, which moves nothing and so is no event: the last ones of each account.
create table refusals (
    account_id integer not null references accounts (id),
    number integer not null,
    at integer not null,
    action text not null,
    -- By its name: it may never have come about.
    service text,
    code text not null,
    why text not null,
    author text not null,
    -- JSON: how the account and the service stood.
    stood text not null,
    primary key (account_id, number)
) strict, without rowid;
