//! A rehearsal's outcome for people: invoices, the statement of each account, what happened to each service.

use std::io::{self, Write};

use crate::simulate::Outcome;
use crate::tables::{or_dash, table};

/// Prints everything; numbers stand to the right.
pub fn print_tables(outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
    print_accounts(outcome, out)?;
    print_invoices(outcome, out)?;
    print_statements(outcome, out)?;
    print_services(outcome, out)?;
    print_refused(outcome, out)
}

fn print_accounts(outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
    let mut table = table(&["account", "state", "reason", "wallet", "open invoices"], &[3, 4]);
    for (name, account) in &outcome.accounts {
        let reason = or_dash(account.reason);
        table.add_row([name, account.state, reason, &account.wallet, &account.open_invoices]);
    }
    writeln!(out, "Accounts\n{table}\n")
}

fn print_invoices(outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
    if outcome.invoices.is_empty() {
        return writeln!(out, "Invoices\nnone\n");
    }
    let mut table = table(&["account", "issued at", "service", "line", "from", "to", "amount"], &[6]);
    for invoice in &outcome.invoices {
        for line in &invoice.lines {
            let (account, issued) = (invoice.account.as_str(), invoice.issued_at.as_str());
            table.add_row([account, issued, &line.service, line.kind, &line.from, &line.to, &line.amount]);
        }
        let paid = invoice.paid_at.as_ref().map_or_else(|| "open".to_owned(), |at| format!("paid {at}"));
        table.add_row([&invoice.account, &invoice.issued_at, "", "total", "", &paid, &invoice.total]);
    }
    writeln!(out, "Invoices\n{table}\n")
}

fn print_statements(outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
    for name in outcome.accounts.keys() {
        let entries: Vec<_> = outcome.entries.iter().filter(|entry| entry.account == *name).collect();
        if entries.is_empty() {
            continue;
        }
        let mut table = table(&["at", "entry", "service", "from", "to", "amount"], &[5]);
        for entry in entries {
            let (from, to) = (or_dash(entry.from.as_deref()), or_dash(entry.to.as_deref()));
            let service = or_dash(entry.service.as_deref());
            table.add_row([entry.at.as_str(), entry.kind, service, from, to, &entry.amount]);
        }
        writeln!(out, "Statement of {name}\n{table}\n")?;
    }
    Ok(())
}

fn print_services(outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
    for (name, service) in &outcome.services {
        let events = outcome.events.iter().filter(|event| event.service.as_ref() == Some(name));
        let mut table = table(&["at", "what happened", "reason"], &[]);
        for event in events {
            table.add_row([event.at.as_str(), &event.kind, or_dash(event.reason)]);
        }
        let mut now = service.state.to_owned();
        for (label, value) in [
            ("", service.reason.map(str::to_owned)),
            ("paid until ", service.paid_until.clone()),
            ("retention ends ", service.retention_ends.clone()),
        ] {
            if let Some(value) = value {
                now += &format!(", {label}{value}");
            }
        }
        writeln!(out, "Service {name}: {now}\n{table}\n")?;
    }
    Ok(())
}

fn print_refused(outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
    if outcome.refused.is_empty() {
        return Ok(());
    }
    let mut table = table(&["entry", "refused because"], &[0]);
    for refused in &outcome.refused {
        table.add_row([refused.entry.to_string().as_str(), refused.error]);
    }
    writeln!(out, "Refused\n{table}")
}
