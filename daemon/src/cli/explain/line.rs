//! Why a line is on an invoice.

use rules::{LineKind, Period};

use super::{Asked, Explained};
use crate::cli::rows::with_currency;

impl Asked<'_> {
    pub async fn line(&self, number: i64, position: i64) -> anyhow::Result<Option<Explained>> {
        let Some(invoice) = self.store.invoice(self.id, number).await? else { return Ok(None) };
        let Some(line) = invoice.lines.into_iter().find(|line| line.position == position) else { return Ok(None) };
        let amount = with_currency(line.amount, invoice.currency);
        let issued = self.store.issue_of(self.id, number).await?;
        Ok(Some(Explained {
            why: format!("{amount} was invoiced for {}: {}.", line.service, what(line.kind, line.period)),
            amount: Some((line.amount, invoice.currency)),
            basis: Some(line.basis),
            effective_at: invoice.issued_at,
            recorded_at: invoice.recorded_at,
            run: issued.as_ref().and_then(|row| row.run),
            related: issued.iter().map(|row| self.entry_reference(row)).collect(),
        }))
    }
}

fn what(kind: LineKind, Period { from, to }: Period) -> String {
    match kind {
        LineKind::Month => format!("the month from {from} to {to}, paid ahead"),
        LineKind::Prorated => format!("the rest of the month in which it became billable, from {from} to {to}"),
        LineKind::Hours => format!("the hours from {from} to {to}, at one price"),
        LineKind::Upgrade => format!("an upgrade, for the rest of the month from {from} to {to}"),
        LineKind::Usage => format!("what was used from {from} to {to} above what is included"),
        LineKind::TrialOverage => format!("what was above the trial's cover from {from} to {to}"),
    }
}
