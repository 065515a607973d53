-- Hosts that move here. An import's file is known by its hash, so that the same one twice changes nothing and one
-- that was cut off goes on where it was. Who a customer is stands in tables of its own: the ledger has keys alone,
-- and this can be erased without it.

create table imports (
    hash text collate "C" not null primary key,
    file text collate "C" not null,
    author text collate "C" not null,
    -- The second as of which all its accounts are brought in.
    at bigint not null,
    -- The first second to which one of them is settled: something may take effect right behind it.
    begins_at bigint,
    accounts bigint not null check (accounts >= 0),
    -- Accounts of the file that are in the books.
    up_to bigint not null,
    finished_at bigint,
    -- That the rest is not to come: of one that was cut off and cannot go on, which would keep months from closing.
    given_up_at bigint,
    given_up_by text collate "C",
    given_up_reason text collate "C",
    constraint import_is_within_its_file check (up_to between 0 and accounts),
    constraint import_end_fits_count check ((up_to = accounts) = (finished_at is not null)),
    constraint giving_up_is_whole check (
        (given_up_at is null) = (given_up_by is null) and (given_up_at is null) = (given_up_reason is null)
    ),
    constraint import_has_one_end check (finished_at is null or given_up_at is null)
);

create trigger import_goes_on before update on imports for each row
when (
    new.hash <> old.hash or new.at <> old.at or new.accounts <> old.accounts or new.up_to < old.up_to
    or old.given_up_at is not null
)
execute function refuse();

create table account_details (
    account_id bigint not null primary key references accounts (id),
    email text collate "C",
    person text collate "C",
    company text collate "C",
    address text collate "C",
    tax_id text collate "C",
    language text collate "C",
    provider text collate "C",
    provider_customer text collate "C",
    payment_method text collate "C"
);

-- What a provider charges belongs to one customer.
create unique index payment_method_is_of_one on account_details (provider, payment_method)
    where payment_method is not null;

-- Invoices that were issued elsewhere: they have no lines of ours, and their total here is what was still open.
create table brought_in_invoices (
    account_id bigint not null,
    number bigint not null,
    series text collate "C" not null,
    printed text collate "C" not null,
    printed_total bigint not null,
    primary key (account_id, number),
    foreign key (account_id, number) references invoices (account_id, number),
    constraint printed_number_is_free unique (series, printed)
);

create function brought_in_invoice_is_marked() returns trigger language plpgsql as $$
begin
    if not exists (
        select 1 from invoices where account_id = new.account_id and number = new.number and brought_in
    ) then
        raise exception using errcode = 'integrity_constraint_violation', message = tg_name;
    end if;
    return new;
end $$;

create trigger brought_in_invoice_is_marked before insert on brought_in_invoices
for each row execute function brought_in_invoice_is_marked();

create trigger brought_in_invoice_stays before update on brought_in_invoices
for each row execute function refuse();

create trigger brought_in_invoice_is_kept before delete on brought_in_invoices
for each row execute function refuse();

-- The next number of each series of invoices.
create table number_series (
    series text collate "C" not null primary key,
    next bigint not null check (next >= 1)
);
