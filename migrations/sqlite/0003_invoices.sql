-- Invoices and their lines. What was issued never changes; only what is still to pay of it does. Series and
-- public number are given in a step of their own before anything is sent; tax, dates and the seller's data as
-- of issue are reserved. A credited invoice may be issued anew (`reissues`), with the same lines.

create table invoices (
    account_id integer not null references accounts (id),
    number integer not null,
    issued_at integer not null,
    recorded_at integer not null,
    total integer not null constraint invoice_total_is_positive check (total >= 0),
    paid integer not null,
    -- What was open when it was credited or written off: no longer owed.
    credited integer not null default 0,
    written_off integer not null default 0,
    -- When nothing was left to pay.
    paid_at integer,
    credited_at integer,
    overdue integer not null check (overdue in (0, 1)),
    tries_made integer not null check (tries_made >= 0),
    first_try_due integer not null check (first_try_due in (0, 1)),
    first_failed_at integer,
    tries_done_until integer not null,
    new_card_at integer,
    -- Issued elsewhere: its number is the printed one.
    brought_in integer not null default 0 check (brought_in in (0, 1)),
    series text,
    public_number integer,
    net integer,
    tax integer,
    tax_rate_code text,
    document_date integer,
    supply_from integer,
    supply_to integer,
    seller text,
    -- JSON: what the invoice says of its buyer, by key.
    buyer text,
    -- The credited invoice whose place it takes, and how often these lines were issued anew by now.
    reissues integer,
    reissue integer not null default 0,
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
    constraint brought_in_keeps_its_number check (brought_in = 0 or public_number is null)
) strict, without rowid;

-- Short: an invoice leaves it when it is paid.
create index invoices_open on invoices (account_id, number) where paid_at is null;

create table invoice_lines (
    account_id integer not null,
    invoice integer not null,
    position integer not null,
    service integer not null,
    kind text not null constraint line_kind_is_known
        check (kind in ('hours', 'month', 'prorated', 'trial_overage', 'upgrade', 'usage')),
    period_from integer not null,
    period_to integer not null,
    amount integer not null constraint line_amount_is_positive check (amount >= 0),
    -- JSON: what the amount was computed from.
    basis text not null,
    net integer,
    tax integer,
    tax_rate_code text,
    -- As its invoice says.
    reissue integer not null default 0,
    -- As a transfer's.
    earned_from integer,
    primary key (account_id, invoice, position),
    foreign key (account_id, invoice, reissue) references invoices (account_id, number, reissue),
    foreign key (account_id, service) references services (account_id, number),
    -- Empty where a server ended in the second of its creation.
    constraint line_period_is_ordered check (period_from <= period_to)
) strict;

-- A month or stretch of a server is billed once, and once more each time its credited invoice is issued anew.
-- The period comes first: lines are issued month by month, so new keys are neighbours.
create unique index line_period_is_billed_once on invoice_lines (period_from, account_id, service, reissue)
    where kind in ('hours', 'month', 'prorated');

-- What else a price list was charged by.
create index lines_of_use on invoice_lines (period_to, account_id) where kind in ('trial_overage', 'upgrade', 'usage');

create unique index invoice_is_reissued_once on invoices (account_id, reissues) where reissues is not null;

-- Of a month's reports.
create index invoices_by_second on invoices (issued_at);

create trigger issued_invoice_stays before update on invoices
when new.account_id <> old.account_id or new.number <> old.number or new.issued_at <> old.issued_at
    or new.recorded_at <> old.recorded_at or new.total <> old.total or new.paid < old.paid
    or new.credited < old.credited or new.written_off < old.written_off
    or (old.credited_at is not null and new.credited_at is not old.credited_at)
    or new.reissues is not old.reissues or new.reissue <> old.reissue or new.buyer is not old.buyer
    or new.brought_in <> old.brought_in
    or (old.paid_at is not null and new.paid_at is not old.paid_at)
    or (old.public_number is not null and (new.series is not old.series or new.public_number is not old.public_number))
begin
    select raise(abort, 'issued_invoice_stays');
end;

create trigger issued_line_stays before update on invoice_lines
begin
    select raise(abort, 'issued_line_stays');
end;
