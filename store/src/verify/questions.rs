//! The invariants that SQL can ask about: each question answers (account, detail) for what breaks it among
//! the accounts from $1 to $2.

use rules::AccountId;

use super::Violation;
use crate::cells::Cells;
use crate::sql::{self, Transaction};
use crate::{Result, StoreError};

/// Asks all of them about the accounts from the first to the last id of `range`.
pub async fn check(connection: &mut Transaction, (first, last): (i64, i64), found: &mut Vec<Violation>) -> Result<()> {
    for (invariant, question) in ALL {
        let rows = sql::query(*question).bind(first).bind(last).fetch_all(&mut *connection).await?;
        for row in &rows {
            let mut cells = Cells::of(row);
            let unreadable = |problem| StoreError::CorruptTable { table: "an answer of verify", problem };
            let account = Some(AccountId(cells.int().map_err(unreadable)?));
            found.push(Violation::of(account, invariant, cells.text().map_err(unreadable)?));
        }
    }
    Ok(())
}

const ALL: &[(&str, &str)] = &[
    (
        "posting_is_legal",
        "select t.account_id, 'transfer ' || t.number || ': ' || t.kind || ' of ' || t.amount || ' from ' || t.debit
            || ' to ' || t.credit
        from transfers t
        left join postings p on p.kind = t.kind and p.debit = t.debit and p.credit = t.credit
        where t.account_id between $1 and $2
            and (p.kind is null or t.amount < 0 or (t.amount = 0 and t.kind not in ('period', 'reversal')))",
    ),
    (
        "currency_is_the_accounts",
        "select t.account_id, 'transfer ' || t.number || ': ' || t.currency || ' in an account of ' || a.currency
        from transfers t join accounts a on a.id = t.account_id
        where t.account_id between $1 and $2 and t.currency <> a.currency",
    ),
    (
        "wallet_is_its_sum",
        "select a.id, 'wallet ' || a.wallet || ', its transfers come to ' || coalesce(t.wallet, 0)
        from accounts a
        left join (
            select account_id, cast(sum(
                case when credit = 'wallet' then amount when debit = 'wallet' then -amount else 0 end
            ) as bigint) as wallet
            from transfers where account_id between $1 and $2 group by account_id
        ) t on t.account_id = a.id
        where a.id between $1 and $2 and a.wallet <> coalesce(t.wallet, 0)",
    ),
    (
        "brought_in_is_its_sum",
        "select a.id, 'brought in ' || a.brought_in || ', its transfers come to ' || coalesce(t.brought_in, 0)
        from accounts a
        left join (
            select account_id, cast(sum(
                case
                    when kind in ('deposit', 'card_credit', 'card_payment_returned') then amount
                    when kind in ('dispute', 'refund_approved') then -amount
                    else 0
                end
            ) as bigint) as brought_in
            from transfers where account_id between $1 and $2 group by account_id
        ) t on t.account_id = a.id
        where a.id between $1 and $2 and a.brought_in <> coalesce(t.brought_in, 0)",
    ),
    // No charge makes a wallet negative, at any point of its history; only a reversal from outside may (rule 3.3),
    // and one that was in debt elsewhere already.
    (
        "charge_is_covered",
        "select account_id, 'transfer ' || number || ': ' || kind || ' left ' || wallet
        from (
            select account_id, number, kind, debit, amount, cast(sum(
                case when credit = 'wallet' then amount when debit = 'wallet' then -amount else 0 end
            ) over (partition by account_id order by number) as bigint) as wallet
            from transfers where account_id between $1 and $2
        ) t
        where debit = 'wallet' and kind not in ('dispute', 'debt_brought_in') and wallet < 0",
    ),
    (
        "receivable_is_what_is_open",
        "select a.id, 'receivable ' || coalesce(t.receivable, 0) || ', open invoices come to ' || coalesce(i.open, 0)
        from accounts a
        left join (
            select account_id, cast(sum(
                case when debit = 'receivable' then amount when credit = 'receivable' then -amount else 0 end
            ) as bigint) as receivable
            from transfers where account_id between $1 and $2 group by account_id
        ) t on t.account_id = a.id
        left join (
            select account_id, cast(sum(total - paid - credited - written_off) as bigint) as open
            from invoices where account_id between $1 and $2 group by account_id
        ) i on i.account_id = a.id
        where a.id between $1 and $2 and coalesce(t.receivable, 0) <> coalesce(i.open, 0)",
    ),
    (
        "invoice_is_its_lines",
        "select i.account_id, 'invoice ' || i.number || ': total ' || i.total || ', its lines come to '
            || coalesce(l.total, 0)
        from invoices i
        left join (
            select account_id, invoice, cast(sum(amount) as bigint) as total
            from invoice_lines where account_id between $1 and $2 group by account_id, invoice
        ) l on l.account_id = i.account_id and l.invoice = i.number
        where i.account_id between $1 and $2 and (l.total is null or l.total <> i.total)
            and not (l.total is null and exists (
                select 1 from brought_in_invoices b where b.account_id = i.account_id and b.number = i.number
            ))",
    ),
    (
        "invoice_is_booked",
        "select i.account_id, 'invoice ' || i.number || ': ' || i.paid || ' paid and ' || i.written_off
            || ' written off of ' || i.total || ', booked are ' || coalesce(t.paid, 0) || ' and '
            || coalesce(t.written_off, 0) || ' of ' || coalesce(t.total, 0)
        from invoices i
        left join (
            select account_id, invoice,
                cast(sum(
                    case when kind in ('invoice_issued', 'invoice_brought_in') then amount else 0 end
                ) as bigint) as total,
                cast(sum(
                    case when kind in ('invoice_paid_by_wallet', 'invoice_paid_by_card') then amount else 0 end
                ) as bigint) as paid,
                cast(sum(case when kind = 'write_off' then amount else 0 end) as bigint) as written_off
            from transfers where account_id between $1 and $2 and invoice is not null group by account_id, invoice
        ) t on t.account_id = i.account_id and t.invoice = i.number
        where i.account_id between $1 and $2 and (
            i.paid <> coalesce(t.paid, 0) or i.total <> coalesce(t.total, 0)
            or i.written_off <> coalesce(t.written_off, 0)
        )",
    ),
    (
        "invoice_state_fits",
        "select account_id, 'invoice ' || number || ': ' || (paid + credited + written_off) || ' of ' || total
            || ' settled and ' || case when paid_at is null then 'open' else 'paid' end
        from invoices
        where account_id between $1 and $2
            and (paid < 0 or credited < 0 or written_off < 0 or paid + credited + written_off > total
                or (paid + credited + written_off = total) <> (paid_at is not null) or paid_at < issued_at)",
    ),
    // Issued anew is another matter, and so is what was issued elsewhere.
    (
        "month_is_invoiced_once",
        "select i.account_id, count(*) || ' invoices of ' || i.issued_at from invoices i
        where i.account_id between $1 and $2 and i.reissues is null and not exists (
            select 1 from brought_in_invoices b where b.account_id = i.account_id and b.number = i.number
        )
        group by i.account_id, i.issued_at having count(*) > 1",
    ),
    // A credit note takes back its whole invoice: what was open of it, and what was paid (rule 6.12).
    (
        "credit_note_is_its_invoice",
        "select i.account_id, 'invoice ' || i.number || ' of ' || i.total || ', paid ' || i.paid || ', credited '
            || i.credited || ': a credit note of ' || coalesce(n.total, 0) || ', booked are '
            || coalesce(t.credited, 0) || ' and ' || coalesce(t.returned, 0)
        from invoices i
        left join credit_notes n on n.account_id = i.account_id and n.invoice = i.number
        left join (
            select account_id, invoice,
                cast(sum(
                    case when kind in ('invoice_credited', 'brought_in_credited') then amount else 0 end
                ) as bigint) as credited,
                cast(sum(
                    case when kind in ('payment_returned', 'card_payment_returned') then amount else 0 end
                ) as bigint) as returned,
                cast(sum(
                    case kind
                        when 'invoice_paid_by_card' then amount when 'card_payment_returned' then -amount else 0
                    end
                ) as bigint) as kept_of_card,
                cast(sum(
                    case kind
                        when 'invoice_brought_in' then amount when 'brought_in_credited' then -amount else 0
                    end
                ) as bigint) as kept_of_brought_in
            from transfers where account_id between $1 and $2 and invoice is not null group by account_id, invoice
        ) t on t.account_id = i.account_id and t.invoice = i.number
        where i.account_id between $1 and $2 and (
            (i.credited_at is null) <> (n.invoice is null)
            or i.credited_at is null
                and (i.credited <> 0 or coalesce(t.credited, 0) <> 0 or coalesce(t.returned, 0) <> 0)
            or i.credited_at is not null and (
                n.total <> i.total or n.issued_at <> i.credited_at or i.paid + i.credited <> i.total
                or coalesce(t.credited, 0) <> i.total or coalesce(t.returned, 0) <> i.paid
                or coalesce(t.kept_of_card, 0) <> 0 or coalesce(t.kept_of_brought_in, 0) <> 0
            )
        )",
    ),
    // What is issued anew are the lines of a credited invoice (rule 6.12).
    (
        "reissue_is_its_invoice",
        "select i.account_id, 'invoice ' || i.number || ' in the place of invoice ' || i.reissues
        from invoices i left join invoices o on o.account_id = i.account_id and o.number = i.reissues
        where i.account_id between $1 and $2 and i.reissues is not null and (
            o.number is null or o.credited_at is null or i.reissue <> o.reissue + 1 or i.total <> o.total
            or exists (
                select 1 from invoice_lines l
                left join invoice_lines k on k.account_id = l.account_id and k.position = l.position
                    and k.invoice = case l.invoice when i.number then i.reissues else i.number end
                    and k.service = l.service and k.kind = l.kind and k.period_from = l.period_from
                    and k.period_to = l.period_to and k.amount = l.amount
                where l.account_id = i.account_id and l.invoice in (i.number, i.reissues) and k.position is null
            )
        )",
    ),
    // It takes back a period with all that was charged and credited for it since (rule 3.6).
    (
        "reversal_is_its_periods_net",
        "select account_id, 'transfer ' || number || ': ' || amount || ' taken back, the period came to ' || net
        from (
            select r.account_id, r.number, r.amount, c.number as charge, c.kind, c.service = r.service as same_service,
                c.period_from = r.period_from and c.period_to = r.period_to as same_period,
                (
                    select cast(sum(case when t.kind = 'downgrade' then -t.amount else t.amount end) as bigint)
                    from transfers t
                    where t.account_id = r.account_id and t.number >= r.corrects and t.number < r.number
                        and t.service = r.service and t.kind in ('period', 'upgrade', 'downgrade')
                ) as net
            from transfers r
            left join transfers c on c.account_id = r.account_id and c.number = r.corrects
            where r.account_id between $1 and $2 and r.kind = 'reversal'
        ) r
        where charge is null or kind <> 'period' or not same_service or not same_period
            or amount <> case when net > 0 then net else 0 end",
    ),
    // What the ledger says of sales is what revenue is reported from: charges and lines, less what was taken back.
    (
        "revenue_ties_to_sales",
        "select account_id, 'sales ' || cast(sum(sales) as bigint) || ', its charges and lines come to '
            || cast(sum(charged) as bigint)
        from (
            select account_id, case when credit in ('sales', 'tax') then amount else -amount end as sales,
                case kind
                    when 'downgrade' then -amount
                    when 'reversal' then -amount
                    when 'invoice_issued' then 0
                    when 'invoice_credited' then 0
                    else amount
                end as charged
            from transfers
            where account_id between $1 and $2 and (credit in ('sales', 'tax') or debit in ('sales', 'tax'))
            union all
            select l.account_id, 0, case when i.credited_at is null then l.amount else 0 end
            from invoice_lines l join invoices i on i.account_id = l.account_id and i.number = l.invoice
            where l.account_id between $1 and $2
        ) r
        group by account_id having sum(sales) <> sum(charged)",
    ),
    (
        "closed_months_earn_no_more",
        "select account_id, what || ' from ' || period_from || ' is earned from ' || earned_from
        from (
            select account_id, 'transfer ' || number as what, period_from, earned_from from transfers
            where account_id between $1 and $2 and earned_from is not null
            union all
            select account_id, 'invoice ' || invoice || ' line ' || position, period_from, earned_from
            from invoice_lines where account_id between $1 and $2 and earned_from is not null
        ) late
        where earned_from <= coalesce(period_from, earned_from)
            or earned_from not in (select month_to from closings)",
    ),
    (
        "closed_month_is_settled",
        "select id, 'settled until ' || settled_at || ' in a month that is closed' from accounts
        where id between $1 and $2 and state <> 'closed' and settled_at < (select max(month_to) from closings)",
    ),
    ("numbers_have_no_gap", NUMBERS),
    (
        "periods_do_not_overlap",
        "select account_id, 'service ' || service || ': ' || period_from || ' is in a period until ' || before
        from (
            select account_id, service, period_from,
                lag(period_to) over (partition by account_id, service order by period_from, period_to) as before
            from transfers p
            where account_id between $1 and $2 and kind = 'period' and not exists (
                select 1 from transfers r where r.account_id = p.account_id and r.corrects = p.number
            )
        ) t
        where period_from < before",
    ),
    // A stop explains a gap: the service was enabled or resumed after the old period and before the new one ended.
    (
        "periods_leave_no_gap",
        "select account_id, 'service ' || service || ': nothing charged from ' || before || ' to ' || period_from
        from (
            select account_id, service, period_from, period_to,
                lag(period_to) over (partition by account_id, service order by period_from, period_to) as before
            from transfers p
            where account_id between $1 and $2 and kind = 'period' and not exists (
                select 1 from transfers r where r.account_id = p.account_id and r.corrects = p.number
            )
        ) t
        where period_from > before and not exists (
            select 1 from events e
            where e.account_id = t.account_id and e.service = t.service
                and e.kind in ('service.enabled', 'service.resumed') and e.at >= t.before and e.at < t.period_to
        )",
    ),
    // One that was taken back was paid until then.
    (
        "paid_period_is_charged",
        "select s.account_id, 'service ' || s.number || ': paid from ' || s.paid_from || ' to ' || s.paid_to
            || ' without a charge'
        from services s
        where s.account_id between $1 and $2 and s.paid_from is not null and not exists (
            select 1 from transfers t
            left join transfers r on r.account_id = t.account_id and r.corrects = t.number
            where t.period_from = s.paid_from and t.account_id = s.account_id and t.service = s.number
                and t.kind = 'period' and s.paid_to = coalesce(r.effective_at, t.period_to)
        )",
    ),
    // The last period is the one that runs: also of what was charged once and never again.
    (
        "what_runs_is_charged",
        "select s.account_id, 'service ' || s.number || ': ' || s.state || ', paid until '
            || case s.mode when 'daily' then a.daily_paid_until else s.paid_to end || ', charged until '
            || coalesce(cast(t.charged_until as text), 'never')
        from services s
        join accounts a on a.id = s.account_id
        left join (
            select account_id, service, max(period_to) as charged_until
            from transfers p
            where account_id between $1 and $2 and kind = 'period' and not exists (
                select 1 from transfers r where r.account_id = p.account_id and r.corrects = p.number
            )
            group by account_id, service
        ) t on t.account_id = s.account_id and t.service = s.number
        where s.account_id between $1 and $2
            and ((s.mode = 'daily' and s.state = 'enabled') or (s.mode = 'term' and s.state = 'active'))
            and (t.charged_until is null
                or t.charged_until <> case s.mode when 'daily' then a.daily_paid_until else s.paid_to end)",
    ),
    (
        "what_runs_is_paid",
        "select s.account_id, 'service ' || s.number || ': ' || s.state || ' at ' || a.settled_at || ', paid until '
            || s.paid_to
        from services s join accounts a on a.id = s.account_id
        where s.account_id between $1 and $2 and s.paid_to <= a.settled_at
            and ((s.mode = 'term' and s.state = 'active')
                or (s.mode = 'daily' and s.state = 'enabled' and a.daily_paid_until <= a.settled_at))",
    ),
    // Net of what was credited, each month is billed once.
    (
        "lines_do_not_overlap",
        "select account_id, 'service ' || service || ': ' || period_from || ' is on a line until ' || before
        from (
            select l.account_id, l.service, l.period_from,
                lag(l.period_to) over (
                    partition by l.account_id, l.service order by l.period_from, l.period_to
                ) as before
            from invoice_lines l join invoices i on i.account_id = l.account_id and i.number = l.invoice
            where l.account_id between $1 and $2 and l.kind in ('hours', 'month', 'prorated')
                and i.credited_at is null
        ) p
        where period_from < before",
    ),
    // Settling an account takes in the proofs that were there (rule 11.6).
    (
        "receipt_is_applied",
        "select r.account_id, 'receipt ' || r.id || ' of ' || r.received_at || ', settled until ' || a.settled_at
        from receipts r join accounts a on a.id = r.account_id
        where r.account_id between $1 and $2 and r.applied_at is null and r.received_at < a.settled_at",
    ),
    // Money that came from outside is booked once, and no other is: receipts as what they are, a late success
    // and a charge for no invoice as a card credit, one for an invoice as its payment.
    (
        "money_is_booked",
        "select account_id, kind || ' of ' || amount || ': proved ' || sum(proved) || ' times, booked '
            || sum(booked) || ' times'
        from (
            select account_id, case kind when 'late_card_success' then 'card_credit' else kind end as kind, amount,
                1 as proved, 0 as booked
            from receipts where account_id between $1 and $2 and applied_at is not null
            union all
            select account_id, case when purpose like '{\"invoice\":%' then 'invoice_paid_by_card' else
            'card_credit' end,
                amount, 1, 0
            from intents where account_id between $1 and $2 and used_at is not null and answer = 'succeeded'
            union all
            select account_id, kind, amount, 0, 1
            from transfers
            where account_id between $1 and $2
                and kind in ('deposit', 'dispute', 'card_credit', 'invoice_paid_by_card')
        ) m
        group by account_id, kind, amount having sum(proved) <> sum(booked)",
    ),
    (
        "used_intent_is_answered",
        "select account_id, 'intent ' || key from intents
        where account_id between $1 and $2 and used_at is not null and answer is null",
    ),
    (
        "late_success_is_money",
        "select i.account_id, 'intent ' || i.key from intents i
        where i.account_id between $1 and $2 and i.late_answer = 'succeeded' and not exists (
            select 1 from receipts r
            where r.provider = 'card' and r.payment = i.key and r.kind = 'late_card_success'
                and r.account_id = i.account_id and r.amount = i.amount
        )",
    ),
    (
        "reason_fits_state",
        "select id, 'account is ' || state || ' for ' || coalesce(suspended_for, 'nothing') from accounts
        where id between $1 and $2 and (state = 'suspended') <> (suspended_for is not null)",
    ),
];

/// Numbers begin at 0, or behind what a purge took, and go up to the account's next one.
const NUMBERS: &str =
    "select a.id, n.what || ': ' || n.count || ' from ' || n.first || ' to ' || n.last || ', the next is '
        || case n.what
            when 'transfers' then a.next_transfer
            when 'events' then a.next_event
            when 'services' then a.next_service
            else a.next_invoice
        end
    from accounts a
    join (
        select 'transfers' as what, id as account_id, count(number) as count, coalesce(min(number), 0) as first,
            coalesce(max(number), -1) as last
        from accounts left join transfers on transfers.account_id = accounts.id
        where id between $1 and $2 group by id
        union all
        select 'events', id, count(number), coalesce(min(number), 0), coalesce(max(number), -1)
        from accounts left join events on events.account_id = accounts.id
        where id between $1 and $2 group by id
        union all
        select 'services', id, count(number), coalesce(min(number), 0), coalesce(max(number), -1)
        from accounts left join services on services.account_id = accounts.id
        where id between $1 and $2 group by id
        union all
        select 'invoices', id, count(number), coalesce(min(number), 0), coalesce(max(number), -1)
        from accounts left join invoices on invoices.account_id = accounts.id
        where id between $1 and $2 group by id
    ) n on n.account_id = a.id
    where n.last - n.first + 1 <> n.count
        or (n.first <> 0 and (select deletable_before from ledger_floor) = -9223372036854775808)
        or n.last + 1 <> case n.what
            when 'transfers' then a.next_transfer
            when 'events' then a.next_event
            when 'services' then a.next_service
            else a.next_invoice
        end";
