//! The invoice at 00:00 on the 1st (rules 6.1 to 6.7).

use crate::account::Account;
use crate::basis::{Basis, Priced};
use crate::changes::{EventKind, TransferKind};
use crate::desk::{Desk, Details, Unsettleable};
use crate::invoice::{Invoice, Line, LineKind, Tries};
use crate::money::{Micros, OutOfRange, round_to_minor};
use crate::prices::{Mode, Unpriced};
use crate::service::{Server, Service, Stretch};
use crate::time::{Period, Timestamp};

/// The next invoice time, while there is a server that may have something on it.
pub fn next(account: &Account) -> Option<Timestamp> {
    let waits = |service: &Service| service.server().is_some() && !service.is_finished(account.invoiced_until);
    account.services.iter().any(waits).then(|| account.invoiced_until.next_month_start())
}

impl Desk<'_> {
    /// Issues the invoice of the account, if it has lines, and pays of it what the wallet has.
    pub fn issue_invoice(&mut self, at: Timestamp) -> Result<(), Unsettleable> {
        if next(&self.account).is_none_or(|due| due > at) {
            return Ok(());
        }
        self.account.invoiced_until = at;
        // A trial that ends at this very second is first invoiced one month later (rule 7.1).
        let in_trial = self.account.trial.as_ref().is_some_and(|trial| at <= trial.ends_at);
        let mut lines = Vec::new();
        for index in 0..self.account.services.len() {
            if self.account.services[index].server().is_none() {
                continue;
            }
            if !in_trial {
                lines.extend(self.lines_of_server(index, at)?);
            }
            self.touch(index);
        }
        if lines.is_empty() { Ok(()) } else { Ok(self.write_invoice(at, lines)?) }
    }

    /// The lines of one server, in their order (rule 6.7); its meter starts anew.
    fn lines_of_server(&mut self, index: usize, at: Timestamp) -> Result<Vec<Line>, Unsettleable> {
        self.close_stretch(index, at)?;
        let mut lines = self.lines_waiting(index, at)?;
        let service = &self.account.services[index];
        let number = service.number;
        let priced = self.priced(&service.order, at)?;
        let Some(server) = self.account.services[index].server_mut() else { return Ok(lines) };
        server.meter.pending.clear();
        server.meter.stretches.clear();
        server.meter.usage.clear();
        if server.mode == Mode::Monthly && server.is_living() {
            server.meter.level = priced.price;
            let month = Period::month_of(at);
            let basis = Basis::Months { of: priced, part: month };
            lines.push(self.line(number, LineKind::Month, month, basis)?);
        }
        lines.sort_by_key(|line| (line.period.from, line.kind));
        Ok(lines)
    }

    /// The lines that the server's meter holds for the invoice at `at`, those of nothing left out.
    pub fn lines_waiting(&self, index: usize, at: Timestamp) -> Result<Vec<Line>, Unsettleable> {
        let service = &self.account.services[index];
        let Some(server) = service.server() else { return Ok(Vec::new()) };
        let mut lines = server.meter.pending.clone();
        for stretch in &server.meter.stretches {
            let of = self.priced_stretch(stretch)?;
            let basis = Basis::Hours { of, part: stretch.period };
            lines.push(self.line(service.number, LineKind::Hours, stretch.period, basis)?);
        }
        lines.extend(self.usage_lines(service, server, at)?);
        lines.retain(|line| !(line.amount.is_zero() && line.kind.is_left_out_at_zero()));
        Ok(lines)
    }

    /// A line for each metered component, of the month that ends at `at` (rule 6.6).
    fn usage_lines(&self, service: &Service, server: &Server, at: Timestamp) -> Result<Vec<Line>, Unsettleable> {
        let month = Period::month_of(at.plus_secs(-1));
        let period = Period::new(service.billed_since(at.plus_secs(-1)).max(month.from), at);
        let mut lines = Vec::new();
        for (name, usage) in &server.meter.usage {
            let component = self.cx.prices.component(&usage.plan, name, period.from)?;
            let basis = Basis::Usage {
                plan: usage.plan.clone(),
                component: name.clone(),
                used: usage.used,
                included: component.included,
                price: component.price_of(usage.used),
            };
            lines.push(self.line(service.number, LineKind::Usage, period, basis)?);
        }
        Ok(lines)
    }

    pub fn line(&self, service: i64, kind: LineKind, period: Period, basis: Basis) -> Result<Line, OutOfRange> {
        let amount = round_to_minor(&basis.exact(), self.account.currency)?;
        Ok(Line { service, kind, period, amount, basis })
    }

    /// Issues an invoice of these lines; what the wallet has pays of it, once older ones are paid (rule 6.9).
    pub fn write_invoice(&mut self, at: Timestamp, lines: Vec<Line>) -> Result<(), OutOfRange> {
        let number = self.account.next.invoice;
        self.account.next.invoice += 1;
        let total = lines.iter().try_fold(Micros::ZERO, |sum, line| sum.checked_add(line.amount))?;
        for line in lines {
            self.write_line(number, line);
        }
        self.book(at, TransferKind::InvoiceIssued, total, Details { invoice: Some(number), ..Details::default() })?;
        self.tell(at, EventKind::InvoiceIssued, None, Some(number));
        self.touch_invoice(number);
        let tries = Tries { made: 0, first_is_due: true, first_failed_at: None, done_until: at, new_card_at: None };
        self.account.invoices.push(Invoice {
            number,
            issued_at: at,
            total,
            paid: Micros::ZERO,
            credited: Micros::ZERO,
            written_off: Micros::ZERO,
            paid_at: None,
            credited_at: None,
            overdue: false,
            tries,
        });
        let index = self.account.invoices.len() - 1;
        // What the wallet has pays first (rule 6.8); nothing to pay is paid at issue (rule 6.1).
        let amount = self.account.wallet.floor_to_minor(self.account.currency).min(total);
        if amount.is_positive() || total.is_zero() {
            self.pay_invoice(index, TransferKind::InvoicePaidByWallet, amount, at)?;
        }
        Ok(())
    }

    /// Ends the running stretch of a server at `at`, split where its price list changed; the next one begins
    /// there while it runs. Neighbours of one price are one (rule 6.5).
    pub fn close_stretch(&mut self, index: usize, at: Timestamp) -> Result<(), Unpriced> {
        let service = &self.account.services[index];
        let Some(server) = service.server() else { return Ok(()) };
        let Some(since) = server.meter.measured_since else { return Ok(()) };
        let order = service.order.clone();
        // Until the trial's end a monthly server's prices are those of its creation (rule 7.3).
        let fixed_at = (server.mode == Mode::Monthly).then_some(service.created_at);
        let mut cuts = vec![since];
        if fixed_at.is_none() {
            cuts.extend(self.cx.prices.changes_within(&order.plan, since, at));
        }
        cuts.push(at);
        let mut parts = Vec::new();
        for period in cuts.windows(2).map(|cut| Period::new(cut[0], cut[1])).filter(|period| !period.is_empty()) {
            let price = self.cx.prices.price(&order, fixed_at.unwrap_or(period.from))?;
            parts.push(Stretch { period, price, order: order.clone() });
        }
        self.touch(index);
        let Some(server) = self.account.services[index].server_mut() else { return Ok(()) };
        for part in parts {
            match server.meter.stretches.last_mut() {
                Some(last) if last.price == part.price && last.period.to == part.period.from => {
                    last.period.to = part.period.to;
                }
                _ => server.meter.stretches.push(part),
            }
        }
        server.meter.measured_since = server.is_living().then_some(at);
        Ok(())
    }

    pub fn priced_stretch(&self, stretch: &Stretch) -> Result<Priced, Unpriced> {
        Ok(Priced { price: stretch.price, ..self.priced(&stretch.order, stretch.period.from)? })
    }
}
