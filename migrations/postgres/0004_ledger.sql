-- The double-entry ledger: a row moves an amount from a debit to a credit account, so each row balances by
-- itself, and no row is ever changed. A row spans one customer. The table grows at its end, midnight by
-- midnight, and only its small index is ordered by account: clustering the rows themselves by account was
-- measured to write four times as much.

-- Which postings exist at all. Rows that no code books yet stand here too: the chart is one decision.
create table postings (
    kind text collate "C" not null,
    debit text collate "C" not null,
    credit text collate "C" not null,
    primary key (kind, debit, credit)
);

insert into postings (kind, debit, credit) values
    ('deposit', 'cash:provider', 'wallet'),
    ('card_credit', 'cash:provider', 'wallet'),
    ('period', 'wallet', 'sales'),
    ('period', 'wallet', 'tax'),
    ('upgrade', 'wallet', 'sales'),
    ('upgrade', 'wallet', 'tax'),
    ('charge', 'wallet', 'sales'),
    ('charge', 'wallet', 'tax'),
    ('downgrade', 'sales', 'wallet'),
    ('downgrade', 'tax', 'wallet'),
    ('reversal', 'sales', 'wallet'),
    ('reversal', 'tax', 'wallet'),
    ('bonus', 'promotions', 'wallet'),
    ('invoice_issued', 'receivable', 'sales'),
    ('invoice_issued', 'receivable', 'tax'),
    ('invoice_paid_by_wallet', 'wallet', 'receivable'),
    ('invoice_paid_by_card', 'cash:provider', 'receivable'),
    ('refund_approved', 'wallet', 'refunds_payable'),
    ('refund_sent', 'refunds_payable', 'cash:provider'),
    ('dispute', 'wallet', 'cash:provider'),
    ('dispute_won', 'cash:provider', 'wallet'),
    ('provider_fee', 'fees', 'cash:provider'),
    ('payout', 'bank', 'cash:provider'),
    ('unallocated_money', 'cash:provider', 'unallocated'),
    ('found_owner', 'unallocated', 'wallet'),
    ('write_off', 'bad_debt', 'receivable'),
    ('waiver', 'wallet', 'other_income'),
    ('brought_in', 'opening', 'wallet'),
    ('debt_brought_in', 'wallet', 'opening'),
    ('invoice_brought_in', 'receivable', 'opening'),
    ('invoice_credited', 'sales', 'receivable'),
    ('invoice_credited', 'tax', 'receivable'),
    ('brought_in_credited', 'opening', 'receivable'),
    ('payment_returned', 'receivable', 'wallet'),
    ('card_payment_returned', 'receivable', 'wallet');

create table transfers (
    account_id bigint not null,
    number bigint not null,
    kind text collate "C" not null,
    debit text collate "C" not null,
    credit text collate "C" not null,
    currency text collate "C" not null,
    amount bigint not null,
    effective_at bigint not null,
    recorded_at bigint not null,
    service bigint,
    invoice bigint,
    period_from bigint,
    period_to bigint,
    -- JSON: what the amount was computed from.
    basis text collate "C",
    -- The run that booked it: a mark, not a key, for records of runs are purged long before the ledger.
    run_id bigint,
    author text collate "C",
    reason text collate "C",
    net bigint,
    tax bigint,
    tax_rate_code text collate "C",
    -- The transfer that it takes back.
    corrects bigint,
    -- Where its period began in a month that was closed when this was written: what it earned there is earned in the
    -- first open one.
    earned_from bigint,
    primary key (account_id, number),
    foreign key (account_id, corrects) references transfers (account_id, number),
    constraint transfer_amount_is_positive check (amount > 0 or (kind in ('period', 'reversal') and amount = 0)),
    constraint transfer_moves check (debit <> credit),
    constraint transfer_period_is_ordered check (
        (period_from is null and period_to is null)
        or (period_from is not null and period_to is not null and period_from < period_to)
    ),
    constraint transfer_of_period_names_it
        check (kind <> 'period' or (service is not null and period_from is not null)),
    constraint transfer_by_hand_is_signed check (
        kind not in (
            'charge', 'bonus', 'reversal', 'invoice_credited', 'brought_in_credited', 'payment_returned',
            'card_payment_returned', 'write_off'
        )
        or (author is not null and reason is not null)
    ),
    constraint transfer_corrects_one check ((kind = 'reversal') = (corrects is not null) and corrects < number)
);

-- That a transfer's account, service, invoice and posting exist is looked at for all rows of a statement together. A foreign
-- key would ask row by row and mark each service's row to hold it: two thirds of a midnight, and a quarter of its WAL.
create function transfer_refers() returns trigger language plpgsql as $$
begin
    -- Of few postings; of services and of invoices, which have their own account; and of accounts without one.
    if exists (
        select 1 from (select distinct kind, debit, credit from added) a
        where not exists (
            select 1 from postings p where p.kind = a.kind and p.debit = a.debit and p.credit = a.credit
        )
    ) or exists (
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
        raise exception using errcode = 'foreign_key_violation', message = 'a transfer violates foreign key constraint ' || tg_name;
    end if;
    return null;
end $$;

create trigger transfer_refers after insert on transfers referencing new table as added
for each statement execute function transfer_refers();

-- And what is referred to stays: whoever deletes waits for those who are writing, and looks then.
create function account_is_referred_to() returns trigger language plpgsql as $$
begin
    lock table invoices, transfers, events in share row exclusive mode;
    if exists (select 1 from removed r join transfers t on t.account_id = r.id)
        or exists (select 1 from removed r join invoices i on i.account_id = r.id)
        or exists (select 1 from removed r join events e on e.account_id = r.id)
    then
        raise exception using errcode = 'foreign_key_violation', message = 'it is in the books: violates foreign key constraint ' || tg_name;
    end if;
    return null;
end $$;

create trigger account_is_referred_to after delete on accounts referencing old table as removed
for each statement execute function account_is_referred_to();

create function service_is_referred_to() returns trigger language plpgsql as $$
begin
    lock table invoice_lines, transfers, events in share row exclusive mode;
    if exists (
        select 1 from removed r join transfers t on t.account_id = r.account_id and t.service = r.number
    ) or exists (
        select 1 from removed r join invoice_lines l on l.account_id = r.account_id and l.service = r.number
    ) or exists (
        select 1 from removed r join events e on e.account_id = r.account_id and e.service = r.number
    ) then
        raise exception using errcode = 'foreign_key_violation', message = 'it is in the books: violates foreign key constraint ' || tg_name;
    end if;
    return null;
end $$;

create trigger service_is_referred_to after delete on services referencing old table as removed
for each statement execute function service_is_referred_to();

-- No foreign key points to services that would refuse this.
create trigger services_stay before truncate on services for each statement execute function refuse();

create trigger invoices_stay before truncate on invoices for each statement execute function refuse();

create trigger postings_stay before truncate on postings for each statement execute function refuse();

create function invoice_is_referred_to() returns trigger language plpgsql as $$
begin
    lock table invoice_lines, transfers, events in share row exclusive mode;
    if exists (
        select 1 from removed r join invoice_lines l on l.account_id = r.account_id and l.invoice = r.number
    ) or exists (
        select 1 from removed r join transfers t on t.account_id = r.account_id and t.invoice = r.number
    ) or exists (
        select 1 from removed r join events e on e.account_id = r.account_id and e.invoice = r.number
    ) then
        raise exception using errcode = 'foreign_key_violation', message = 'it is in the books: violates foreign key constraint ' || tg_name;
    end if;
    return null;
end $$;

create trigger invoice_is_referred_to after delete on invoices referencing old table as removed
for each statement execute function invoice_is_referred_to();

create function posting_is_referred_to() returns trigger language plpgsql as $$
begin
    lock table transfers in share row exclusive mode;
    if exists (
        select 1
        from removed r
        join transfers t on t.kind = r.kind and t.debit = r.debit and t.credit = r.credit
    ) then
        raise exception using errcode = 'foreign_key_violation', message = 'its transfers stay: violates foreign key constraint ' || tg_name;
    end if;
    return null;
end $$;

create trigger posting_is_referred_to after delete on postings referencing old table as removed
for each statement execute function posting_is_referred_to();

-- Their keys never change, nor does an invoice's; transfers that are taken back are few, and have a foreign key.
create trigger account_key_stays before update of id on accounts for each row
when (new.id <> old.id) execute function refuse();
create trigger service_key_stays before update of account_id, number on services for each row
when (new.account_id <> old.account_id or new.number <> old.number) execute function refuse();
create trigger posting_stays before update on postings for each row execute function refuse();

-- A period is charged once (rule 11.4). The period comes first: a midnight's keys are neighbours then, where
-- (account, service, period) would touch every leaf of the index.
create unique index service_period_is_charged_once on transfers (period_from, account_id, service)
    where kind = 'period';

create unique index transfer_is_corrected_once on transfers (account_id, corrects) where corrects is not null;

-- Of a month's reports, and of what else a price list was charged by: what is booked beside the periods themselves
-- is little, and few periods reach over a midnight.
create index transfers_by_second on transfers (effective_at, account_id, number) where kind <> 'period';
create index transfers_of_long_periods on transfers (period_to, account_id, number)
    where (period_to - 1) / 86400 > period_from / 86400;

-- Until when rows may be deleted: moved by a purge in its own transaction, never by hand.
create table ledger_floor (
    id bigint not null primary key check (id = 1),
    deletable_before bigint not null
);

insert into ledger_floor (id, deletable_before) values (1, -9223372036854775808);

create trigger transfer_stays before update on transfers for each row execute function refuse();

create function transfer_is_kept() returns trigger language plpgsql as $$
begin
    if old.effective_at >= (select deletable_before from ledger_floor where id = 1) then
        raise exception using errcode = 'integrity_constraint_violation', message = tg_name;
    end if;
    return old;
end $$;

create trigger transfer_is_kept before delete on transfers for each row execute function transfer_is_kept();

create function invoice_is_kept() returns trigger language plpgsql as $$
begin
    if old.issued_at >= (select deletable_before from ledger_floor where id = 1) then
        raise exception using errcode = 'integrity_constraint_violation', message = tg_name;
    end if;
    return old;
end $$;

create trigger invoice_is_kept before delete on invoices for each row execute function invoice_is_kept();

create function line_is_kept() returns trigger language plpgsql as $$
begin
    if (
        select issued_at from invoices where account_id = old.account_id and number = old.invoice
    ) >= (select deletable_before from ledger_floor where id = 1) then
        raise exception using errcode = 'integrity_constraint_violation', message = tg_name;
    end if;
    return old;
end $$;

create trigger line_is_kept before delete on invoice_lines for each row execute function line_is_kept();
