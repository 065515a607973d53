-- The outbox: what happened, written in the transaction that caused it and numbered within its account, so
-- that whoever is told can see that nothing is missing. Deliveries will point here; events never change.

create table events (
    account_id bigint not null,
    number bigint not null,
    at bigint not null,
    recorded_at bigint not null,
    kind text collate "C" not null,
    reason text collate "C" constraint event_reason_is_known
        check (reason in ('insufficient_funds', 'customer', 'unpaid', 'fraud', 'admin')),
    service bigint,
    invoice bigint,
    primary key (account_id, number)
);

-- That an event's account, service and invoice exist is looked at as for transfers. A service or an invoice has its
-- own account.
create function event_refers() returns trigger language plpgsql as $$
begin
    if exists (
        select 1 from added a
        where a.service is not null
            and not exists (select 1 from services s where s.account_id = a.account_id and s.number = a.service)
    ) or exists (
        select 1 from added a
        where a.invoice is not null
            and not exists (select 1 from invoices i where i.account_id = a.account_id and i.number = a.invoice)
    ) or exists (
        select 1 from added a
        where a.service is null and a.invoice is null
            and not exists (select 1 from accounts c where c.id = a.account_id)
    ) then
        raise exception using errcode = 'foreign_key_violation',
            message = 'an event violates foreign key constraint ' || tg_name;
    end if;
    return null;
end $$;

create trigger event_refers after insert on events referencing new table as added
for each statement execute function event_refers();

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
