-- What corrects the books, and what closes them: credit notes, the public numbers of documents, and the months
-- that nothing is posted in any more.

-- A credit note takes a whole invoice back, once. It is never changed, and its public number, of a series of
-- its own, is given in the same step as the invoices'.
create table credit_notes (
    account_id bigint not null,
    invoice bigint not null,
    issued_at bigint not null,
    recorded_at bigint not null,
    total bigint not null constraint credit_note_total_is_positive check (total >= 0),
    author text collate "C" not null,
    reason text collate "C" not null,
    series text collate "C",
    public_number bigint,
    primary key (account_id, invoice),
    foreign key (account_id, invoice) references invoices (account_id, number),
    constraint credit_note_number_is_whole check ((series is null) = (public_number is null)),
    constraint credit_note_number_is_free unique (series, public_number)
);

create index credit_notes_by_second on credit_notes (issued_at);

create function credit_note_is_its_invoices() returns trigger language plpgsql as $$
begin
    if not exists (
        select 1 from invoices
        where account_id = new.account_id and number = new.invoice and total = new.total and credited_at = new.issued_at
    ) then
        raise exception using errcode = 'integrity_constraint_violation', message = tg_name;
    end if;
    return new;
end $$;

create trigger credit_note_is_its_invoices before insert on credit_notes
for each row execute function credit_note_is_its_invoices();

create trigger credit_note_stays before update on credit_notes for each row
when (
    new.account_id <> old.account_id or new.invoice <> old.invoice or new.issued_at <> old.issued_at
    or new.recorded_at <> old.recorded_at or new.total <> old.total or new.author <> old.author
    or new.reason <> old.reason
    or (old.public_number is not null and (new.series is distinct from old.series
        or new.public_number is distinct from old.public_number))
)
execute function refuse();

create function credit_note_is_kept() returns trigger language plpgsql as $$
begin
    if old.issued_at >= (select deletable_before from ledger_floor where id = 1) then
        raise exception using errcode = 'integrity_constraint_violation', message = tg_name;
    end if;
    return old;
end $$;

create trigger credit_note_is_kept before delete on credit_notes for each row execute function credit_note_is_kept();

-- What has no public number yet: short, and in the order in which the numbers are given.
create index invoices_without_number on invoices (issued_at, account_id)
    where public_number is null and not brought_in;
create index credit_notes_without_number on credit_notes (issued_at, account_id) where public_number is null;

create trigger number_series_counts_on before update on number_series for each row
when (new.series <> old.series or new.next < old.next)
execute function refuse();

-- Invoices are asked for by what is printed on them.
create index brought_in_invoices_printed on brought_in_invoices (printed);

-- Months that are closed, one after the other. No transfer or credit note takes effect in them any more.
create table closings (
    month_from bigint not null primary key,
    month_to bigint not null constraint closing_is_ordered check (month_from < month_to),
    closed_at bigint not null,
    author text collate "C" not null,
    constraint closing_comes_after_its_month check (closed_at >= month_to)
);

create function closing_follows_the_last() returns trigger language plpgsql as $$
begin
    if exists (select 1 from closings) and new.month_from <> (select max(month_to) from closings) then
        raise exception using errcode = 'integrity_constraint_violation', message = tg_name;
    end if;
    return new;
end $$;

create trigger closing_follows_the_last before insert on closings
for each row execute function closing_follows_the_last();

create trigger closing_stays before update on closings for each row execute function refuse();

create trigger closing_is_kept before delete on closings for each row execute function refuse();

-- For all rows of a statement together: a midnight writes hundreds with each.
create function transfer_is_of_an_open_month() returns trigger language plpgsql as $$
declare
    open_from bigint := (select max(month_to) from closings);
begin
    if open_from is not null and exists (
        select 1 from added
        where effective_at < open_from
            or earned_from is distinct from case when period_from < open_from then open_from end
    ) then
        raise exception using errcode = 'integrity_constraint_violation', message = tg_name;
    end if;
    return null;
end $$;

create trigger transfer_is_of_an_open_month after insert on transfers referencing new table as added
for each statement execute function transfer_is_of_an_open_month();

create function line_is_of_an_open_month() returns trigger language plpgsql as $$
declare
    open_from bigint := (select max(month_to) from closings);
begin
    if open_from is not null and exists (
        select 1 from added
        where earned_from is distinct from case when period_from < open_from then open_from end
    ) then
        raise exception using errcode = 'integrity_constraint_violation', message = tg_name;
    end if;
    return null;
end $$;

create trigger line_is_of_an_open_month after insert on invoice_lines referencing new table as added
for each statement execute function line_is_of_an_open_month();

create function credit_note_is_of_an_open_month() returns trigger language plpgsql as $$
begin
    if new.issued_at < (select max(month_to) from closings) then
        raise exception using errcode = 'integrity_constraint_violation', message = tg_name;
    end if;
    return new;
end $$;

create trigger credit_note_is_of_an_open_month before insert on credit_notes
for each row execute function credit_note_is_of_an_open_month();
