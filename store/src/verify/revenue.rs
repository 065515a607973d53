//! The report of revenue against the rows: every charge and line once more from its `[from, to)`, in the order of the
//! accounts and not by the indexes that the report follows, and what the ledger says of sales beside both.

use std::collections::BTreeMap;

use rules::{Basis, Currency, Micros, Period, Timestamp, TransferKind};

use super::Violation;
use super::pages::each;
use crate::Result;
use crate::cells::{Cells, Problem};
use crate::revenue::{self, RevenueKey};
use crate::sql::Transaction;

const TRANSFERS: &str =
    "select t.account_id, t.number, cast(0 as bigint), t.kind, t.currency, t.amount, t.effective_at, t.earned_from,
        t.service, t.period_from, t.period_to, t.basis, t.corrects, s.plan,
        case when t.credit in ('sales', 'tax') then t.amount when t.debit in ('sales', 'tax') then -t.amount else 0 end
    from transfers t left join services s on s.account_id = t.account_id and s.number = t.service
    where (t.account_id, t.number) > ($1, $2) and $3 = $3 and t.account_id <= $4
    order by t.account_id, t.number limit $5";

const LINES: &str = "select l.account_id, l.invoice, l.position, a.currency, l.amount, i.issued_at, l.earned_from,
        l.period_from, l.period_to, l.basis, i.credited_at, l.reissue > 0, s.plan
    from invoice_lines l join accounts a on a.id = l.account_id
    join invoices i on i.account_id = l.account_id and i.number = l.invoice
    left join services s on s.account_id = l.account_id and s.number = l.service
    where (l.account_id, l.invoice, l.position) > ($1, $2, $3) and l.account_id <= $4
    order by l.account_id, l.invoice, l.position limit $5";

const ALL: (i64, i64) = (i64::MIN, i64::MAX);

/// What was billed and earned in a month.
#[derive(Clone, Copy, Default)]
struct Moved {
    billed: i128,
    earned: i128,
}

/// Something that was charged, and may be taken back.
struct Charged {
    key: RevenueKey,
    amount: i128,
    span: Period,
    billed_at: Timestamp,
    not_before: Timestamp,
    undone_at: Option<Timestamp>,
}

#[derive(Default)]
struct Sums {
    months: BTreeMap<RevenueKey, BTreeMap<Timestamp, Moved>>,
    /// By currency and month.
    sales: BTreeMap<(String, Timestamp), i128>,
    /// Of the account at hand, by service: its last period, and what was changed in it.
    open: BTreeMap<i64, Vec<(i64, Charged)>>,
    account: i64,
}

/// Compares each month up to the last one in which something was billed, and the one after it.
pub async fn check(connection: &mut Transaction, found: &mut Vec<Violation>) -> Result<()> {
    let (mut sums, mut unreadable) = (Sums::default(), false);
    each(connection, TRANSFERS, ALL, |(account, number, _), cells| {
        sums.of_account(account);
        unreadable |= sums.transfer(number, cells).is_err();
    })
    .await?;
    sums.of_account(i64::MAX);
    each(connection, LINES, ALL, |_, cells| unreadable |= sums.line(cells).is_err()).await?;
    // That is told of elsewhere, and no month is right before it is mended.
    if unreadable {
        return Ok(());
    }
    let Some((first, last)) = sums.span() else { return Ok(()) };
    let mut before: BTreeMap<RevenueKey, i128> = BTreeMap::new();
    let mut month = Period::month_of(first);
    while month.from <= last.next_month_start() {
        let report = revenue::moves_in(connection, month).await?;
        let keys = sums.months.keys().chain(report.keys()).cloned().collect::<std::collections::BTreeSet<_>>();
        for key in keys {
            let told = report.get(&key).copied().unwrap_or_default();
            let moved = sums.months.get(&key).and_then(|months| months.get(&month.from)).copied().unwrap_or_default();
            let opening = before.entry(key.clone()).or_default();
            let closing = *opening + moved.billed - moved.earned;
            let wanted = [*opening, moved.billed, moved.earned, closing];
            let told = [told.opening(), told.billed, told.earned, told.closing()];
            if told != wanted {
                let (currency, plan) = (&key.0, key.1.as_deref().unwrap_or("no plan"));
                let ([told, wanted], month) = ([told, wanted].map(in_words), month.from);
                let detail = format!("{month}, {currency}, {plan}: {told}; the rows come to {wanted}");
                found.push(of_books("revenue_follows_from_its_rows", detail));
            }
            *opening = closing;
        }
        month = Period::month_of(month.to);
    }
    sums.against_sales(found);
    Ok(())
}

fn in_words([opening, billed, earned, closing]: [i128; 4]) -> String {
    format!("opening {opening}, billed {billed}, earned {earned}, closing {closing}")
}

const fn of_books(invariant: &'static str, detail: String) -> Violation {
    Violation::of(None, invariant, detail)
}

impl Sums {
    fn transfer(&mut self, number: i64, cells: &mut Cells<'_>) -> std::result::Result<(), Problem> {
        let kind: TransferKind = cells.name()?;
        let (currency, amount): (Currency, Micros) = (cells.currency()?, cells.micros()?);
        let (billed_at, earned_from) = (cells.time()?, cells.maybe_time()?);
        let (service, period) = (cells.maybe_int()?, cells.maybe_period()?);
        let (basis, corrects): (Option<Basis>, _) = (cells.maybe_json()?, cells.maybe_int()?);
        let (plan, sales) = (cells.maybe_text()?, cells.int()?);
        if sales != 0 {
            let month = (currency.code().to_owned(), billed_at.month_start());
            *self.sales.entry(month).or_default() += i128::from(sales);
        }
        let sign = match kind {
            TransferKind::Period | TransferKind::Upgrade | TransferKind::Charge => 1,
            TransferKind::Downgrade => -1,
            TransferKind::Reversal => {
                if let (Some(service), Some(corrects), true) = (service, corrects, amount.is_positive()) {
                    let taken = self.open.entry(service).or_default();
                    taken.iter_mut().filter(|(number, _)| *number >= corrects).for_each(|(_, charged)| {
                        charged.undone_at = Some(billed_at);
                    });
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        let plan = basis.as_ref().and_then(Basis::plan).map(str::to_owned).or(plan);
        let charged = Charged {
            key: (currency.code().to_owned(), plan.filter(|_| kind != TransferKind::Charge)),
            amount: sign * i128::from(amount.get()),
            span: period.unwrap_or(Period::new(billed_at, billed_at)),
            billed_at,
            not_before: earned_from.unwrap_or(Timestamp::BEGINNING),
            undone_at: None,
        };
        match service {
            // Only the last period of a service is ever taken back, with the changes behind it.
            Some(service) if kind == TransferKind::Period => {
                let earlier = self.open.insert(service, vec![(number, charged)]).unwrap_or_default();
                earlier.into_iter().for_each(|(_, charged)| self.add(&charged));
            }
            Some(service) => self.open.entry(service).or_default().push((number, charged)),
            None => self.add(&charged),
        }
        Ok(())
    }

    fn line(&mut self, cells: &mut Cells<'_>) -> std::result::Result<(), Problem> {
        let (currency, amount): (Currency, Micros) = (cells.currency()?, cells.micros()?);
        let (billed_at, earned_from) = (cells.time()?, cells.maybe_time()?);
        let span = Period::new(cells.time()?, cells.time()?);
        let basis: Basis = cells.json()?;
        let (undone_at, anew, plan) = (cells.maybe_time()?, cells.flag()?, cells.maybe_text()?);
        // Until it is issued anew, the invoice before it earns what they both are for.
        let known = if anew { billed_at } else { Timestamp::BEGINNING };
        self.add(&Charged {
            key: (currency.code().to_owned(), basis.plan().map(str::to_owned).or(plan)),
            amount: i128::from(amount.get()),
            span,
            billed_at,
            not_before: earned_from.unwrap_or(known).max(known),
            undone_at,
        });
        Ok(())
    }

    /// Nothing of the account before this one is taken back any more.
    fn of_account(&mut self, account: i64) {
        if self.account != account {
            let open = std::mem::take(&mut self.open);
            open.into_values().flatten().for_each(|(_, charged)| self.add(&charged));
            self.account = account;
        }
    }

    fn add(&mut self, charged: &Charged) {
        let Charged { amount, span, billed_at, not_before, undone_at, .. } = *charged;
        let months = self.months.entry(charged.key.clone()).or_default();
        months.entry(billed_at.month_start()).or_default().billed += amount;
        if let Some(undone) = undone_at {
            months.entry(undone.month_start()).or_default().billed -= amount;
        }
        let last = span.to.max(not_before).max(undone_at.unwrap_or(span.to));
        let (mut month, mut earned_before) = (Period::month_of(span.from), 0);
        loop {
            // Nothing is earned any more of what was taken back in the month, and what was is no more.
            let taken = undone_at.is_some_and(|undone| undone < month.to);
            let known = not_before < month.to;
            let earned = if taken || !known { 0 } else { earned(amount, span, month.to) };
            if earned != earned_before {
                months.entry(month.from).or_default().earned += earned - earned_before;
                earned_before = earned;
            }
            if month.to > last {
                return;
            }
            month = Period::month_of(month.to);
        }
    }

    /// The first month and the last one in which something was billed.
    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let billed = |(month, moved): (&Timestamp, &Moved)| (moved.billed != 0).then_some(*month);
        let first = self.months.values().filter_map(|months| months.keys().next()).min()?;
        let last = self.months.values().flatten().filter_map(billed).max()?;
        Some((*first, last))
    }

    fn against_sales(&self, found: &mut Vec<Violation>) {
        let mut billed: BTreeMap<(String, Timestamp), i128> = BTreeMap::new();
        for ((currency, _), months) in &self.months {
            for (month, moved) in months {
                *billed.entry((currency.clone(), *month)).or_default() += moved.billed;
            }
        }
        let months: std::collections::BTreeSet<_> = billed.keys().chain(self.sales.keys()).cloned().collect();
        for month in months {
            let [billed, sales] = [&billed, &self.sales].map(|sums| sums.get(&month).copied().unwrap_or_default());
            if billed != sales {
                let detail = format!("{}, {}: billed {billed}, the ledger's sales are {sales}", month.1, month.0);
                found.push(of_books("billed_is_the_ledgers_sales", detail));
            }
        }
    }
}

/// What of it has passed before `until`, rounded once, half away from zero.
fn earned(amount: i128, span: Period, until: Timestamp) -> i128 {
    if until <= span.from {
        return 0;
    }
    if until >= span.to {
        return amount;
    }
    let (passed, whole) = (i128::from(until.secs() - span.from.secs()), i128::from(span.secs()));
    let (quotient, rest) = (amount.abs() * passed / whole, amount.abs() * passed % whole);
    amount.signum() * (quotient + i128::from(rest * 2 >= whole))
}
