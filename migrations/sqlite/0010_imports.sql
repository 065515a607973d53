-- Hosts that move here. An import's file is known by its hash, so that the same one twice changes nothing and one
-- that was cut off goes on where it was. Who a customer is stands in tables of its own: the ledger has keys alone,
-- and this can be erased without it.

create table imports (
    hash text not null primary key,
    file text not null,
    author text not null,
    -- The second as of which all its accounts are brought in.
    at integer not null,
    -- The first second to which one of them is settled: something may take effect right behind it.
    begins_at integer,
    accounts integer not null check (accounts >= 0),
    -- Accounts of the file that are in the books.
    up_to integer not null,
    finished_at integer,
    -- That the rest is not to come: of one that was cut off and cannot go on, which would keep months from closing.
    given_up_at integer,
    given_up_by text,
    given_up_reason text,
    constraint import_is_within_its_file check (up_to between 0 and accounts),
    constraint import_end_fits_count check ((up_to = accounts) = (finished_at is not null)),
    constraint giving_up_is_whole check (
        (given_up_at is null) = (given_up_by is null) and (given_up_at is null) = (given_up_reason is null)
    ),
    constraint import_has_one_end check (finished_at is null or given_up_at is null)
) strict;

create trigger import_goes_on before update on imports
when new.hash <> old.hash or new.at <> old.at or new.accounts <> old.accounts or new.up_to < old.up_to
    or old.given_up_at is not null
begin
    select raise(abort, 'import_goes_on');
end;

create table account_details (
    account_id integer not null primary key references accounts (id),
    email text,
    person text,
    company text,
    address text,
    tax_id text,
    language text,
    provider text,
    provider_customer text,
    payment_method text
) strict;

-- What a provider charges belongs to one customer.
create unique index payment_method_is_of_one on account_details (provider, payment_method)
    where payment_method is not null;

-- Invoices that were issued elsewhere: they have no lines of ours, and their total here is what was still open.
create table brought_in_invoices (
    account_id integer not null,
    number integer not null,
    series text not null,
    printed text not null,
    printed_total integer not null,
    primary key (account_id, number),
    foreign key (account_id, number) references invoices (account_id, number),
    constraint printed_number_is_free unique (series, printed)
) strict, without rowid;

create trigger brought_in_invoice_is_marked before insert on brought_in_invoices
when not exists (
    select 1 from invoices where account_id = new.account_id and number = new.number and brought_in
)
begin
    select raise(abort, 'brought_in_invoice_is_marked');
end;

create trigger brought_in_invoice_stays before update on brought_in_invoices
begin
    select raise(abort, 'brought_in_invoice_stays');
end;

create trigger brought_in_invoice_is_kept before delete on brought_in_invoices
begin
    select raise(abort, 'brought_in_invoice_is_kept');
end;

-- The next number of each series of invoices.
create table number_series (
    series text not null primary key,
    next integer not null check (next >= 1)
) strict;
