-- What corrects the books, and what closes them: credit notes, the public numbers of documents, and the months
-- that nothing is posted in any more.

-- A credit note takes a whole invoice back, once. It is never changed, and its public number, of a series of
-- its own, is given in the same step as the invoices'.
create table credit_notes (
    account_id integer not null,
    invoice integer not null,
    issued_at integer not null,
    recorded_at integer not null,
    total integer not null constraint credit_note_total_is_positive check (total >= 0),
    author text not null,
    reason text not null,
    series text,
    public_number integer,
    primary key (account_id, invoice),
    foreign key (account_id, invoice) references invoices (account_id, number),
    constraint credit_note_number_is_whole check ((series is null) = (public_number is null)),
    constraint credit_note_number_is_free unique (series, public_number)
) strict, without rowid;

create index credit_notes_by_second on credit_notes (issued_at);

create trigger credit_note_is_its_invoices before insert on credit_notes
when not exists (
    select 1 from invoices
    where account_id = new.account_id and number = new.invoice and total = new.total and credited_at = new.issued_at
)
begin
    select raise(abort, 'credit_note_is_its_invoices');
end;

create trigger credit_note_stays before update on credit_notes
when new.account_id <> old.account_id or new.invoice <> old.invoice or new.issued_at <> old.issued_at
    or new.recorded_at <> old.recorded_at or new.total <> old.total or new.author <> old.author
    or new.reason <> old.reason
    or (old.public_number is not null and (new.series is not old.series or new.public_number is not old.public_number))
begin
    select raise(abort, 'credit_note_stays');
end;

create trigger credit_note_is_kept before delete on credit_notes
when old.issued_at >= (select deletable_before from ledger_floor where id = 1)
begin
    select raise(abort, 'credit_note_is_kept');
end;

-- What has no public number yet: short, and in the order in which the numbers are given.
create index invoices_without_number on invoices (issued_at, account_id)
    where public_number is null and not brought_in;
create index credit_notes_without_number on credit_notes (issued_at, account_id) where public_number is null;

create trigger number_series_counts_on before update on number_series
when new.series <> old.series or new.next < old.next
begin
    select raise(abort, 'number_series_counts_on');
end;

-- Invoices are asked for by what is printed on them.
create index brought_in_invoices_printed on brought_in_invoices (printed);

-- Months that are closed, one after the other. No transfer or credit note takes effect in them any more.
create table closings (
    month_from integer not null primary key,
    month_to integer not null constraint closing_is_ordered check (month_from < month_to),
    closed_at integer not null,
    author text not null,
    constraint closing_comes_after_its_month check (closed_at >= month_to)
) strict;

create trigger closing_follows_the_last before insert on closings
when exists (select 1 from closings) and new.month_from <> (select max(month_to) from closings)
begin
    select raise(abort, 'closing_follows_the_last');
end;

create trigger closing_stays before update on closings
begin
    select raise(abort, 'closing_stays');
end;

create trigger closing_is_kept before delete on closings
begin
    select raise(abort, 'closing_is_kept');
end;

create trigger transfer_is_of_an_open_month before insert on transfers
when exists (
    select 1 from (select month_to from closings order by month_from desc limit 1) as last
    where new.effective_at < last.month_to
        or new.earned_from is not case when new.period_from < last.month_to then last.month_to end
)
begin
    select raise(abort, 'transfer_is_of_an_open_month');
end;

create trigger line_is_of_an_open_month before insert on invoice_lines
when exists (
    select 1 from (select month_to from closings order by month_from desc limit 1) as last
    where new.earned_from is not case when new.period_from < last.month_to then last.month_to end
)
begin
    select raise(abort, 'line_is_of_an_open_month');
end;

create trigger credit_note_is_of_an_open_month before insert on credit_notes
when new.issued_at < (select max(month_to) from closings)
begin
    select raise(abort, 'credit_note_is_of_an_open_month');
end;
