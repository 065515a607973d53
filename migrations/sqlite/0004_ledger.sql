-- The double-entry ledger: a row moves an amount from a debit to a credit account, so each row balances by
-- itself, and no row is ever changed. A row spans one customer. The table grows at its end, midnight by
-- midnight, and only its small index is ordered by account: clustering the rows themselves by account was
-- measured to write four times as much.

-- Which postings exist at all. Rows that no code books yet stand here too: the chart is one decision.
create table postings (
    kind text not null,
    debit text not null,
    credit text not null,
    primary key (kind, debit, credit)
) strict, without rowid;

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
    account_id integer not null references accounts (id),
    number integer not null,
    kind text not null,
    debit text not null,
    credit text not null,
    currency text not null,
    amount integer not null,
    effective_at integer not null,
    recorded_at integer not null,
    service integer,
    invoice integer,
    period_from integer,
    period_to integer,
    -- JSON: what the amount was computed from.
    basis text,
    -- The run that booked it: a mark, not a key, for records of runs are purged long before the ledger.
    run_id integer,
    author text,
    reason text,
    net integer,
    tax integer,
    tax_rate_code text,
    -- The transfer that it takes back.
    corrects integer,
    -- Where its period began in a month that was closed when this was written: what it earned there is earned in the
    -- first open one.
    earned_from integer,
    primary key (account_id, number),
    foreign key (account_id, corrects) references transfers (account_id, number),
    foreign key (kind, debit, credit) references postings (kind, debit, credit),
    foreign key (account_id, service) references services (account_id, number),
    foreign key (account_id, invoice) references invoices (account_id, number),
    constraint transfer_amount_is_positive check (amount > 0 or (kind in ('period', 'reversal') and amount = 0)),
    constraint transfer_moves check (debit <> credit),
    constraint transfer_period_is_ordered check (
        (period_from is null and period_to is null)
        or (period_from is not null and period_to is not null and period_from < period_to)
    ),
    constraint transfer_of_period_names_it check (kind <> 'period' or (service is not null and period_from is not null)),
    constraint transfer_by_hand_is_signed check (
        kind not in (
            'charge', 'bonus', 'reversal', 'invoice_credited', 'brought_in_credited', 'payment_returned',
            'card_payment_returned', 'write_off'
        )
        or (author is not null and reason is not null)
    ),
    constraint transfer_corrects_one check ((kind = 'reversal') = (corrects is not null) and corrects < number)
) strict;

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
    id integer not null primary key check (id = 1),
    deletable_before integer not null
) strict;

insert into ledger_floor (id, deletable_before) values (1, -9223372036854775808);

create trigger transfer_stays before update on transfers
begin
    select raise(abort, 'transfer_stays');
end;

create trigger transfer_is_kept before delete on transfers
when old.effective_at >= (select deletable_before from ledger_floor where id = 1)
begin
    select raise(abort, 'transfer_is_kept');
end;

create trigger invoice_is_kept before delete on invoices
when old.issued_at >= (select deletable_before from ledger_floor where id = 1)
begin
    select raise(abort, 'invoice_is_kept');
end;

create trigger line_is_kept before delete on invoice_lines
when (
    select issued_at from invoices where account_id = old.account_id and number = old.invoice
) >= (select deletable_before from ledger_floor where id = 1)
begin
    select raise(abort, 'line_is_kept');
end;
