-- The outbox: what happened, written in the transaction that caused it and numbered within its account, so
-- that whoever is told can see that nothing is missing. Deliveries will point here; events never change.

create table events (
    account_id bigint not null references accounts (id),
    number bigint not null,
    at bigint not null,
    recorded_at bigint not null,
    kind text collate "C" not null,
    reason text collate "C" constraint event_reason_is_known
        check (reason in ('insufficient_funds', 'customer', 'unpaid', 'fraud', 'admin')),
    service bigint,
    invoice bigint,
    primary key (account_id, number),
    foreign key (account_id, service) references services (account_id, number),
    foreign key (account_id, invoice) references invoices (account_id, number)
);

create trigger event_stays before update on events for each row execute function refuse();

create function event_is_kept() returns trigger language plpgsql as $$
begin
    if old.at >= (select deletable_before from ledger_floor where id = 1) then
        raise exception using errcode = 'integrity_constraint_violation', message = tg_name;
    end if;
    return old;
end $$;

create trigger event_is_kept before delete on events for each row execute function event_is_kept();

-- What was asked for and refused, which moves nothing and so is no event: the last ones of each account.
create table refusals (
    account_id bigint not null references accounts (id),
    number bigint not null,
    at bigint not null,
    action text collate "C" not null,
    -- By its name: it may never have come about.
    service text collate "C",
    code text collate "C" not null,
    why text collate "C" not null,
    author text collate "C" not null,
    -- JSON: how the account and the service stood.
    stood text collate "C" not null,
    primary key (account_id, number)
);
