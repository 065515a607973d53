//! Why the rules refuse an action here, and what to do about it: one sentence for each refusal.

use rules::{Account, Action, CancelWhen, Context, Kind, Order, Refusal, Standing, SuspendReason, Timestamp, cost_of};

use crate::cli::reference;
use crate::cli::rows::{plain, with_currency};

/// How it was asked for, and so in whose words the way out is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    Command,
    Request,
}

impl By {
    const fn way(self, command: &'static str, request: &'static str) -> &'static str {
        match self {
            Self::Command => command,
            Self::Request => request,
        }
    }
}

/// `account` is settled up to `now`.
pub fn why(refusal: Refusal, action: &Action, account: &Account, cx: &Context<'_>, now: Timestamp, by: By) -> String {
    match refusal {
        Refusal::NotFound => not_found(action, account, cx, now, by),
        Refusal::NotAllowed => not_allowed(action, account, by),
        Refusal::RecoveryClosed => {
            "its retention is over and its removal is ordered: nothing brings it back; create a new service".to_owned()
        }
        Refusal::InvalidState => invalid_state(action, account),
        Refusal::StillInUse => {
            let mut living: Vec<&str> = living(account).collect();
            living.sort_unstable();
            format!("it still has {}: cancel what it has first", some_of(&living))
        }
        Refusal::UnsettledDebt => unsettled_debt(account, by),
        Refusal::NeedsConfirmation => needs_confirmation(action, account, by),
        Refusal::BelowMinimum => {
            let minimum = with_currency(cx.policy.minimum_deposit, account.currency);
            format!("a deposit is at least {minimum}, or exactly what the open invoices come to")
        }
        Refusal::InsufficientFunds => insufficient_funds(action, account, cx, now),
        Refusal::PaymentFailed => match account.card {
            None => "in a trial this costs more than the trial covers, which only a saved card can pay, and no card \
                can be saved yet: wait for the trial's end, or choose less"
                .to_owned(),
            Some(_) => "the saved card did not pay: save another one, then again".to_owned(),
        },
    }
}

fn insufficient_funds(action: &Action, account: &Account, cx: &Context<'_>, now: Timestamp) -> String {
    let has = with_currency(account.wallet, account.currency);
    match cost_of(account.clone(), cx, action, now) {
        Some(cost) => {
            let lacks = cost.checked_sub(account.wallet).unwrap_or(cost);
            // What can be deposited has whole minor units.
            let lacks = lacks.ceil_to_minor(account.currency).unwrap_or(lacks);
            let [needs, lacks] = [cost, lacks].map(|amount| with_currency(amount, account.currency));
            format!("it needs {needs} and the wallet has {has}: deposit {lacks} or more, then again")
        }
        None => format!("it needs more than any wallet holds, and this one has {has}"),
    }
}

fn not_found(action: &Action, account: &Account, cx: &Context<'_>, now: Timestamp, by: By) -> String {
    let (plan, quantities, options) = match action {
        Action::CreateService { plan, quantities, options, .. } => (plan, Some(quantities), Some(options)),
        Action::Change { service, change, .. } => {
            let Some(service) = account.service(service) else { return no_service(action, account) };
            (change.plan.as_ref().unwrap_or(&service.order.plan), change.quantities.as_ref(), change.options.as_ref())
        }
        Action::Usage { service, component, .. } => {
            let Some(service) = account.service(service) else { return no_service(action, account) };
            let plan = &service.order.plan;
            return format!("`{component}` is no metered component of plan `{plan}`, so nothing of it is reported");
        }
        _ => return no_service(action, account),
    };
    let Some(found) = cx.prices.in_force(plan, now, account.currency) else {
        let currency = account.currency;
        let see = by.way("`bursar prices list`", "what is sold");
        return format!("no price list in force at {now} has a plan `{plan}` for accounts in {currency}; see {see}");
    };
    let unknown = quantities.and_then(|given| given.keys().find(|name| found.settable(name).is_none()));
    if let Some(component) = unknown {
        let known: Vec<&str> =
            found.components.keys().map(String::as_str).filter(|name| found.settable(name).is_some()).collect();
        return format!(
            "plan `{plan}` has no component `{component}` to choose a quantity of; it has {}",
            or_none(&known)
        );
    }
    match options.and_then(|given| given.iter().find(|name| !found.options.contains_key(*name))) {
        Some(option) => {
            let known: Vec<&str> = found.options.keys().map(String::as_str).collect();
            format!("plan `{plan}` has no option `{option}`; it has {}", or_none(&known))
        }
        None => format!("plan `{plan}` is private, and account `{}` has no service of it", account.name),
    }
}

fn no_service(action: &Action, account: &Account) -> String {
    let service = action.service().unwrap_or_default();
    format!("account `{}` has no service `{service}`", account.name)
}

fn not_allowed(action: &Action, account: &Account, by: By) -> String {
    let name = &account.name;
    if account.standing == Standing::Closed {
        return format!("account `{name}` is closed, and takes nothing any more");
    }
    if let Action::CreditInvoice { .. } = action {
        let (reissue, adjust) =
            (by.way("--reissue", "`reissue`"), by.way("`bursar accounts adjust`", "an adjustment of the account"));
        return format!(
            "it was issued elsewhere, before its account came here, and its lines are not here: credit it without \
            {reissue}, and bill it anew by {adjust}"
        );
    }
    let service = action.service().and_then(|service| account.service(service));
    let mode = service.map_or("", |service| service.mode().name());
    let of_mode = match (action, service.map(|service| &service.kind)) {
        (Action::Enable { .. } | Action::Disable { .. }, Some(Kind::Term(_) | Kind::Server(_))) => {
            Some("only daily instances are enabled and disabled")
        }
        (
            Action::Extend { .. } | Action::Uncancel { .. } | Action::Removed { .. },
            Some(Kind::Daily(_) | Kind::Server(_)),
        ) => Some("that is for term services"),
        (Action::Cancel { when: CancelWhen::PeriodEnd, .. }, Some(Kind::Daily(_) | Kind::Server(_))) => Some(by.way(
            "only term services are cancelled at their period's end; leave out --at-period-end",
            "only term services are cancelled at their period's end; leave out `when`",
        )),
        (Action::Void { .. }, Some(Kind::Server(_))) => Some(by.way(
            "it is paid by invoice; credit that with `bursar invoices credit`",
            "it is paid by invoice; credit that",
        )),
        (Action::Void { .. }, Some(_)) => Some(by.way(
            "its period was paid for elsewhere; give back by `bursar accounts adjust`",
            "its period was paid for elsewhere; give back by an adjustment of the account",
        )),
        (Action::Usage { .. }, Some(Kind::Daily(_) | Kind::Term(_))) => Some("only servers have metered components"),
        _ => None,
    };
    if let (Standing::Suspended(reason), None) = (account.standing, of_mode) {
        let way = match reason {
            SuspendReason::Unpaid => unsettled_debt(account, by),
            SuspendReason::Fraud | SuspendReason::Admin => match by {
                By::Command => format!("`bursar accounts restore {name}` first"),
                By::Request => "it has to be restored first".to_owned(),
            },
        };
        return format!("account `{name}` is suspended for {}: {way}", reason.name());
    }
    if let Some(of_mode) = of_mode {
        return format!("it is a {mode} service: {of_mode}");
    }
    match action {
        Action::Change { .. } => {
            format!("it is a {mode} service, and its plan can only become another {mode} plan of the same term")
        }
        _ => format!("account `{name}` is not verified: its card has to be authorised first"),
    }
}

fn invalid_state(action: &Action, account: &Account) -> String {
    let wanted = match action {
        Action::Enable { .. } => "only a disabled instance can be enabled",
        Action::Disable { .. } => "only an enabled instance can be disabled",
        Action::Change { .. } => "what has ended cannot be changed, and a suspended term has to be extended first",
        Action::Extend { .. } => "only a suspended service can be extended",
        Action::Cancel { when: CancelWhen::Now, .. } => "what has ended cannot be cancelled",
        Action::Cancel { when: CancelWhen::PeriodEnd, .. } => "only a term that is paid and will be renewed can",
        Action::Uncancel { .. } => "only an active service that is cancelled for its period's end can be un-cancelled",
        Action::Removed { .. } => "only what is queued for removal can be reported as removed",
        Action::Void { .. } => "only the period that runs can be taken back, once; it has none",
        Action::Usage { .. } => "a terminated server takes reports until the next 1st only",
        _ => "",
    };
    match action {
        Action::CreditInvoice { .. } => {
            return "what is credited or written off already cannot be credited".to_owned();
        }
        Action::WriteOffInvoice { .. } => return "nothing of it is open, so nothing can be written off".to_owned(),
        _ => {}
    }
    match (action.service().and_then(|service| account.service(service)), account.standing) {
        (Some(service), _) => {
            let reason = service.stop_reason().map_or_else(String::new, |reason| format!(" for {}", reason.name()));
            format!("service `{}` is {}{reason}: {wanted}", service.name, service.state())
        }
        (None, Standing::Suspended(reason)) => {
            format!("account `{}` is suspended for {} already", account.name, reason.name())
        }
        (None, standing) => format!("account `{}` is {}: there is nothing to restore", account.name, standing.name()),
    }
}

fn unsettled_debt(account: &Account, by: By) -> String {
    let mut owed = Vec::new();
    for invoice in account.invoices.iter().filter(|invoice| invoice.paid_at.is_none()) {
        let to_pay = with_currency(invoice.to_pay(), account.currency);
        let state = if invoice.overdue { "overdue" } else { "open" };
        owed.push(format!("{to_pay} of invoice {} is {state}", reference::invoice(&account.name, invoice.number)));
    }
    if account.wallet.is_negative() {
        owed.push(format!("the wallet has a debt of {}", with_currency(account.wallet.abs(), account.currency)));
    }
    if owed.is_empty() {
        return "something waits for the next invoice, on the 1st: close it when that is paid".to_owned();
    }
    let way = by.way("like by `bursar accounts deposit`", "like by a deposit");
    format!("{}; it has to be paid first, {way}", owed.join(", "))
}

fn needs_confirmation(action: &Action, account: &Account, by: By) -> String {
    if let Action::Change { service, change, .. } = action {
        let lowered =
            account.service(service).map(|service| &service.order).map_or_else(String::new, |old| lowered(old, change));
        let confirm = by.way("add --confirm-data-loss", "set `confirm_data_loss`");
        return format!("it lowers a quantity{lowered} and so destroys data: {confirm} if that is meant");
    }
    let rest = with_currency(account.wallet, account.currency);
    let way = by.way("--rest refund or --rest waive", "a `rest` of refund or waive");
    format!("the wallet still has {rest}: say what becomes of it by {way}")
}

fn lowered(old: &Order, change: &rules::OrderChange) -> String {
    let given = change.quantities.iter().flatten();
    let lower: Vec<String> = given
        .filter_map(|(name, new)| Some((name, old.quantities.get(name)?, new)))
        .filter(|(_, old, new)| new < old)
        .map(|(name, old, new)| format!("{name} from {} to {}", plain(*old), plain(*new)))
        .collect();
    if lower.is_empty() { String::new() } else { format!(" ({})", lower.join(", ")) }
}

fn living(account: &Account) -> impl Iterator<Item = &str> {
    account.services.iter().filter(|service| service.is_living()).map(|service| service.name.as_str())
}

fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn or_none(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
