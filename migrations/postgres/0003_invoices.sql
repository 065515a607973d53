-- Invoices and their lines. What was issued never changes; only what is still to pay of it does. Series and
-- public number are given in a step of their own before anything is sent; tax, dates and the seller's data as
-- of issue are reserved. A credited invoice may be issued anew (`reissues`), with the same lines.

create table invoices (
    account_id bigint not null,
    number bigint not null,
    issued_at bigint not null,
    recorded_at bigint not null,
    total bigint not null constraint invoice_total_is_positive check (total >= 0),
    paid bigint not null,
    -- What was open when it was credited or written off: no longer owed.
    credited bigint not null default 0,
    written_off bigint not null default 0,
    -- When nothing was left to pay.
    paid_at bigint,
    credited_at bigint,
    overdue boolean not null,
    tries_made bigint not null check (tries_made >= 0),
    first_try_due boolean not null,
    first_failed_at bigint,
    tries_done_until bigint not null,
    new_card_at bigint,
    -- Issued elsewhere: its number is the printed one.
    brought_in boolean not null default false,
    series text collate "C",
    public_number bigint,
    net bigint,
    tax bigint,
    tax_rate_code text collate "C",
    document_date bigint,
    supply_from bigint,
    supply_to bigint,
    seller text collate "C",
    -- JSON: what the invoice says of its buyer, by key.
    buyer text collate "C",
    -- The credited invoice whose place it takes, and how often these lines were issued anew by now.
    reissues bigint,
    reissue bigint not null default 0,
    primary key (account_id, number),
    -- What the lines point to, so that they say how often they were issued.
    constraint invoice_has_one_reissue unique (account_id, number, reissue),
    foreign key (account_id, reissues) references invoices (account_id, number),
    constraint invoice_paid_within_total check (
        paid >= 0 and credited >= 0 and written_off >= 0 and paid + credited + written_off <= total
    ),
    constraint invoice_paid_fits_state check ((paid + credited + written_off = total) = (paid_at is not null)),
    constraint invoice_credit_fits_state check (
        credited_at is null and credited = 0
        or credited_at is not null and written_off = 0 and paid + credited = total
    ),
    constraint invoice_reissue_counts check (
        reissue >= 0 and (reissue = 0) = (reissues is null) and (reissues is null or reissues < number)
    ),
    constraint invoice_number_is_whole check ((series is null) = (public_number is null)),
    constraint invoice_number_is_free unique (series, public_number),
    constraint brought_in_keeps_its_number check (not brought_in or public_number is null)
);

-- Short: an invoice leaves it when it is paid.
create index invoices_open on invoices (account_id, number) where paid_at is null;

create table invoice_lines (
    account_id bigint not null,
    invoice bigint not null,
    position bigint not null,
    service bigint not null,
    kind text collate "C" not null constraint line_kind_is_known
        check (kind in ('hours', 'month', 'prorated', 'trial_overage', 'upgrade', 'usage')),
    period_from bigint not null,
    period_to bigint not null,
    amount bigint not null constraint line_amount_is_positive check (amount >= 0),
    -- JSON: what the amount was computed from.
    basis text collate "C" not null,
    net bigint,
    tax bigint,
    tax_rate_code text collate "C",
    -- As its invoice says.
    reissue bigint not null default 0,
    -- As a transfer's.
    earned_from bigint,
    primary key (account_id, invoice, position),
    -- Empty where a server ended in the second of its creation.
    constraint line_period_is_ordered check (period_from <= period_to)
);

-- That an invoice's account, and a line's invoice and service exist is looked at as for transfers, below.
create function invoice_refers() returns trigger language plpgsql as $$
begin
    if exists (select 1 from added a where not exists (select 1 from accounts c where c.id = a.account_id)) then
        raise exception using errcode = 'foreign_key_violation',
            message = 'an invoice violates foreign key constraint ' || tg_name;
    end if;
    return null;
end $$;

create trigger invoice_refers after insert on invoices referencing new table as added
for each statement execute function invoice_refers();

create function line_refers() returns trigger language plpgsql as $$
begin
    if exists (
        select 1 from added a
        where not exists (
            select 1 from invoices i
            where i.account_id = a.account_id and i.number = a.invoice and i.reissue = a.reissue
        )
    ) or exists (
        select 1 from added a
        where not exists (select 1 from services s where s.account_id = a.account_id and s.number = a.service)
    ) then
        raise exception using errcode = 'foreign_key_violation',
            message = 'a line violates foreign key constraint ' || tg_name;
    end if;
    return null;
end $$;

create trigger line_refers after insert on invoice_lines referencing new table as added
for each statement execute function line_refers();

-- A month or stretch of a server is billed once, and once more each time its credited invoice is issued anew.
-- The period comes first: lines are issued month by month, so new keys are neighbours.
create unique index line_period_is_billed_once on invoice_lines (period_from, account_id, service, reissue)
    where kind in ('hours', 'month', 'prorated');

-- What else a price list was charged by.
create index lines_of_use on invoice_lines (period_to, account_id) where kind in ('trial_overage', 'upgrade', 'usage');

create unique index invoice_is_reissued_once on invoices (account_id, reissues) where reissues is not null;

-- Of a month's reports.
create index invoices_by_second on invoices (issued_at);

create trigger issued_invoice_stays before update on invoices for each row
when (
    new.account_id <> old.account_id or new.number <> old.number or new.issued_at <> old.issued_at
    or new.recorded_at <> old.recorded_at or new.total <> old.total or new.paid < old.paid
    or new.credited < old.credited or new.written_off < old.written_off
    or (old.credited_at is not null and new.credited_at is distinct from old.credited_at)
    or new.reissues is distinct from old.reissues or new.reissue <> old.reissue
    or new.buyer is distinct from old.buyer
    or new.brought_in <> old.brought_in
    or (old.paid_at is not null and new.paid_at is distinct from old.paid_at)
    or (old.public_number is not null and (new.series is distinct from old.series
        or new.public_number is distinct from old.public_number))
)
execute function refuse();

create trigger issued_line_stays before update on invoice_lines for each row execute function refuse();
