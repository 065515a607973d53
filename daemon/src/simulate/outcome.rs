//! What a rehearsal came to, as it is printed: keys in the order of the alphabet.

use std::collections::BTreeMap;

use jobs::Office;
use rules::{Account, Context, Service, retention_end};
use serde::Serialize;

use crate::simulate::Refused;

/// Accounts that are read at once.
const PAGE: u32 = 500;

#[derive(Serialize)]
pub struct Outcome {
    pub accounts: BTreeMap<String, AccountOutcome>,
    pub entries: Vec<EntryOutcome>,
    pub events: Vec<EventOutcome>,
    pub invoices: Vec<InvoiceOutcome>,
    pub refused: Vec<RefusedOutcome>,
    pub services: BTreeMap<String, ServiceOutcome>,
}

#[derive(Serialize)]
pub struct AccountOutcome {
    pub open_invoices: String,
    pub reason: Option<&'static str>,
    pub state: &'static str,
    pub wallet: String,
}

#[derive(Serialize)]
pub struct EntryOutcome {
    pub account: String,
    pub amount: String,
    pub at: String,
    pub from: Option<String>,
    pub kind: &'static str,
    pub service: Option<String>,
    pub to: Option<String>,
}

#[derive(Serialize)]
pub struct EventOutcome {
    pub account: String,
    pub at: String,
    pub reason: Option<&'static str>,
    pub service: Option<String>,
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Serialize)]
pub struct InvoiceOutcome {
    pub account: String,
    pub issued_at: String,
    pub lines: Vec<LineOutcome>,
    pub paid_at: Option<String>,
    pub state: &'static str,
    pub total: String,
}

#[derive(Serialize)]
pub struct LineOutcome {
    pub amount: String,
    pub from: String,
    pub kind: &'static str,
    pub service: String,
    pub to: String,
}

#[derive(Serialize)]
pub struct RefusedOutcome {
    pub entry: usize,
    pub error: &'static str,
}

#[derive(Serialize)]
pub struct ServiceOutcome {
    pub paid_until: Option<String>,
    pub reason: Option<&'static str>,
    pub retention_ends: Option<String>,
    pub state: &'static str,
}

impl Outcome {
    /// Reads the books of a played scenario.
    pub async fn read(office: &Office, refused: Vec<Refused>) -> anyhow::Result<Self> {
        let store = &office.store;
        let mut outcome = Self {
            accounts: BTreeMap::new(),
            entries: Vec::new(),
            events: Vec::new(),
            invoices: Vec::new(),
            refused: refused
                .into_iter()
                .map(|(entry, refusal)| RefusedOutcome { entry, error: refusal.name() })
                .collect(),
            services: BTreeMap::new(),
        };
        let mut after = String::new();
        loop {
            let accounts = store.accounts_by_name(&after, PAGE).await?;
            let Some(last) = accounts.last() else { break };
            after.clone_from(&last.name);
            for account in &accounts {
                office.with_context(|cx| outcome.add_account(account, cx))?;
            }
        }
        for row in store.ledger(None).await? {
            let (Some(kind), Some(amount)) = (row.kind.entry(), row.wallet_amount()) else { continue };
            outcome.entries.push(EntryOutcome {
                account: row.account,
                amount: amount.to_string(),
                at: row.effective_at.to_string(),
                from: row.period.map(|period| period.from.to_string()),
                kind,
                service: row.service,
                to: row.period.map(|period| period.to.to_string()),
            });
        }
        for invoice in store.invoices(None).await? {
            outcome.invoices.push(invoice_outcome(invoice));
        }
        for event in store.events(None).await? {
            outcome.events.push(EventOutcome {
                account: event.account,
                at: event.at.to_string(),
                reason: event.reason.map(rules::StopReason::name),
                service: event.service,
                kind: event.kind,
            });
        }
        Ok(outcome)
    }

    /// One object, keys sorted, two spaces deep, a line feed at the end.
    pub fn to_json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    fn add_account(&mut self, account: &Account, cx: &Context<'_>) -> anyhow::Result<()> {
        let state = account.standing.name();
        let reason = account.standing.reason().map(rules::SuspendReason::name);
        let open_invoices = account.open_total()?.in_minor(account.currency);
        let wallet = account.wallet.to_string();
        self.accounts.insert(account.name.clone(), AccountOutcome { open_invoices, reason, state, wallet });
        for service in &account.services {
            self.services.insert(service.name.clone(), service_outcome(account, service, cx));
        }
        Ok(())
    }
}

fn service_outcome(account: &Account, service: &Service, cx: &Context<'_>) -> ServiceOutcome {
    ServiceOutcome {
        paid_until: service.paid_until(account.daily_paid_until).map(|at| at.to_string()),
        reason: service.stop_reason().map(rules::StopReason::name),
        retention_ends: retention_end(&service.kind, cx).map(|at| at.to_string()),
        state: service.state(),
    }
}

fn invoice_outcome(invoice: store::InvoiceRow) -> InvoiceOutcome {
    let currency = invoice.currency;
    let lines = invoice.lines.into_iter().map(|line| LineOutcome {
        amount: line.amount.in_minor(currency),
        from: line.period.from.to_string(),
        kind: line.kind.name(),
        service: line.service,
        to: line.period.to.to_string(),
    });
    InvoiceOutcome {
        account: invoice.account,
        issued_at: invoice.issued_at.to_string(),
        lines: lines.collect(),
        paid_at: invoice.paid_at.map(|at| at.to_string()),
        state: if invoice.paid_at.is_some() { "paid" } else { "open" },
        total: invoice.total.in_minor(currency),
    }
}
