//! Why something happened.

use rules::{Basis, Micros, StopReason, TransferKind};
use store::{EventRow, LedgerRow, ServiceRow};

use super::shortage::Shortage;
use super::{Asked, Explained};
use crate::cli::reference;
use crate::cli::rows::with_currency;
use crate::tables::or_dash;

/// A sentence, with what it rests on.
#[derive(Default)]
struct Because {
    why: String,
    basis: Option<(Basis, Option<Micros>)>,
    related: Vec<String>,
}

impl Because {
    fn of(why: String) -> Self {
        Self { why, ..Self::default() }
    }
}

/// Whether an event of this kind books entries of that one; another event of the same second may have.
fn books(event: &str, entry: TransferKind) -> bool {
    match event {
        "service.created" => matches!(entry, TransferKind::Period | TransferKind::CardCredit),
        "service.enabled" | "service.renewed" | "service.resumed" => entry == TransferKind::Period,
        "service.changed" => {
            matches!(entry, TransferKind::Upgrade | TransferKind::Downgrade | TransferKind::CardCredit)
        }
        // Whoever stops a service takes at most a period back (rule 3.6).
        _ => entry == TransferKind::Reversal,
    }
}

impl Asked<'_> {
    pub async fn event(&self, number: i64) -> anyhow::Result<Option<Explained>> {
        let Some(row) = self.store.event(self.id, number).await? else { return Ok(None) };
        let currency = self.account_with(&[]).await?.currency;
        let service = match &row.service {
            Some(name) => self.store.service(name).await?,
            None => None,
        };
        let charges = match &service {
            Some(service) => self.charges_at(&row, service).await?,
            None => Vec::new(),
        };
        let mut because = match &service {
            Some(service) => self.of_service(&row, service, &charges).await?,
            None => self.of_account(&row).await?,
        };
        because.related.extend(charges.iter().map(|charge| self.entry_reference(charge)));
        because.related.extend(row.invoice.map(|number| self.invoice_reference(number)));
        because.related.dedup();
        let (basis, amount) = because.basis.unzip();
        Ok(Some(Explained {
            why: because.why,
            amount: amount.flatten().map(|amount| (amount, currency)),
            basis,
            effective_at: row.at,
            recorded_at: row.recorded_at,
            run: charges.iter().find_map(|charge| charge.run),
            related: because.related,
        }))
    }

    /// What was booked for the service at the second of the event, and by it.
    async fn charges_at(&self, row: &EventRow, service: &ServiceRow) -> anyhow::Result<Vec<LedgerRow>> {
        const MOST: u32 = 20;
        let number = service.service.number;
        let mut charges = self.store.transfers_of_service(self.id, number, row.at, MOST).await?;
        charges.retain(|charge| charge.effective_at == row.at && books(&row.kind, charge.kind));
        charges.reverse();
        Ok(charges)
    }

    async fn of_service(&self, row: &EventRow, service: &ServiceRow, charges: &[LedgerRow]) -> anyhow::Result<Because> {
        let name = &service.service.name;
        let paid = match charges {
            [] => "no money moved".to_owned(),
            charges => {
                let each =
                    charges.iter().map(|row| with_currency(row.wallet_amount().unwrap_or_default(), row.currency));
                format!("the wallet moved by {}", each.collect::<Vec<_>>().join(" and "))
            }
        };
        Ok(match (row.kind.as_str(), row.reason) {
            ("service.disabled" | "service.suspended", Some(StopReason::InsufficientFunds)) => {
                self.for_want_of_money(row, service).await?
            }
            ("service.disabled" | "service.suspended", Some(StopReason::Customer) | None) => {
                Because::of(format!("{name} was stopped on request; what is paid is not given back."))
            }
            ("service.disabled" | "service.suspended", Some(reason)) => {
                let because = self.why_suspended(row, reason).await?;
                Because { why: format!("{name} was stopped with its account: {}", because.why), ..because }
            }
            ("service.created", _) => Because::of(format!("{name} was ordered: {paid}.")),
            ("service.enabled", _) => Because::of(format!("{name} was enabled: {paid}.")),
            ("service.changed", _) => Because::of(format!("The order of {name}, or how it ends, was changed: {paid}.")),
            ("service.renewed", _) => Because::of(format!("The term of {name} ended and the next one began: {paid}.")),
            ("service.resumed", _) => Because::of(format!("{name} is active again: {paid}.")),
            ("service.cancelled", _) => {
                Because::of(format!("{name} was cancelled, at once or for the end of its period, which was here."))
            }
            ("service.deleted", _) => Because::of(format!("{name} was cancelled; what is paid is not given back.")),
            ("service.terminated", _) => {
                Because::of(format!("{name} was cancelled; what it ran up is on its last invoice."))
            }
            ("service.removal_queued", _) => self.retention_ended(row, service).await?,
            ("service.removed", _) => Because::of(format!("The control plane reported that {name} is gone.")),
            (kind, _) => Because::of(format!("{kind} of {name}: {paid}.")),
        })
    }

    async fn for_want_of_money(&self, row: &EventRow, service: &ServiceRow) -> anyhow::Result<Because> {
        let Shortage { needed, basis, wallet, after } = self.shortage(row, service).await?;
        let name = &service.service.name;
        let price =
            needed.map_or("more than any wallet holds".to_owned(), |needed| with_currency(needed, service.currency));
        let had = with_currency(wallet, service.currency);
        let after = after.map(|entry| self.entry_reference(&entry));
        let since = after.as_ref().map_or_else(String::new, |entry| format!(" since {entry}"));
        let stopped = if row.kind == "service.disabled" { "disabled" } else { "suspended" };
        Ok(Because {
            why: format!(
                "{name} was {stopped} for insufficient_funds: the period that began then cost {price}, and the wallet \
                had {had}{since}; a period is charged whole or not at all."
            ),
            basis: Some((basis, needed)),
            related: after.into_iter().collect(),
        })
    }

    async fn retention_ended(&self, row: &EventRow, service: &ServiceRow) -> anyhow::Result<Because> {
        let (name, number) = (&service.service.name, service.service.number);
        let suspended = self.store.event_before(self.id, row.number, "service.suspended", Some(number)).await?;
        let Some(suspended) = suspended else {
            return Ok(Because::of(format!("The retention of {name} ended, and nobody had extended it.")));
        };
        let reason = or_dash(suspended.reason.map(StopReason::name));
        Ok(Because {
            why: format!(
                "{name} was suspended for {reason} at {}, and nobody extended it before its retention ended here: its \
                removal is ordered.",
                suspended.at
            ),
            related: vec![reference::event(self.account, suspended.number)],
            basis: None,
        })
    }

    async fn of_account(&self, row: &EventRow) -> anyhow::Result<Because> {
        let name = self.account;
        let invoice = row.invoice.map_or_else(String::new, |number| self.invoice_reference(number));
        Ok(match (row.kind.as_str(), row.reason) {
            ("account.suspended", Some(reason)) => self.why_suspended(row, reason).await?,
            ("account.restored", _) => Because::of(format!(
                "Account {name} was restored: nothing overdue was left, or an admin restored it; what that costs \
                nothing runs again."
            )),
            ("account.closed", _) => Because::of(format!("Account {name} was closed: it had nothing left.")),
            ("invoice.issued", _) => Because::of(format!("Invoice {invoice} was issued, with a line for each charge.")),
            ("invoice.paid", _) => Because::of(format!("Nothing was left to pay of {invoice}.")),
            ("invoice.overdue", _) => self.overdue(row).await?,
            ("payment.failed", _) if invoice.is_empty() => {
                Because::of("The saved card did not pay for trial traffic.".to_owned())
            }
            ("payment.failed", _) => Because::of(format!("The saved card did not pay {invoice}.")),
            ("trial.ended", _) => Because::of(format!("The trial of {name} ended: from here on servers are billable.")),
            (kind, _) => Because::of(format!("{kind} on account {name}.")),
        })
    }

    async fn overdue(&self, row: &EventRow) -> anyhow::Result<Because> {
        let Some(number) = row.invoice else { return Ok(Because::default()) };
        let Some(invoice) = self.store.invoice(self.id, number).await? else { return Ok(Because::default()) };
        let (total, issued) = (with_currency(invoice.total, invoice.currency), invoice.issued_at);
        let days = (row.at.secs() - issued.secs()) / rules::DAY;
        let name = self.invoice_reference(number);
        Ok(Because::of(format!("Invoice {name} over {total}, issued {issued}, was still open {days} days later.")))
    }

    /// Why the account was suspended at the second of the event, or before it.
    async fn why_suspended(&self, row: &EventRow, reason: StopReason) -> anyhow::Result<Because> {
        let name = self.account;
        if reason != StopReason::Unpaid {
            return Ok(Because::of(format!("an admin suspended account {name} for {}.", reason.name())));
        }
        let overdue = self.store.event_before(self.id, row.number, "invoice.overdue", None).await?;
        let Some(overdue) = overdue else {
            return Ok(Because::of(format!("account {name} is suspended for unpaid.")));
        };
        let because = self.overdue(&overdue).await?;
        let mut related = vec![reference::event(self.account, overdue.number)];
        related.extend(overdue.invoice.map(|number| self.invoice_reference(number)));
        let since = overdue.at;
        Ok(Because {
            why: format!("account {name} is suspended for unpaid. {} It is overdue since {since}.", because.why),
            related,
            basis: None,
        })
    }
}
