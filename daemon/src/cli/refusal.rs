//! Why the rules refuse an action here, and what to do about it: one sentence for each refusal.

use rules::{Account, Action, CancelWhen, Context, Kind, Order, Refusal, Standing, SuspendReason, Timestamp, cost_of};

use crate::cli::reference;
use crate::cli::rows::{plain, with_currency};

/// `account` is settled up to `now`.
pub fn why(refusal: Refusal, action: &Action, account: &Account, cx: &Context<'_>, now: Timestamp) -> String {
    match refusal {
        Refusal::NotFound => not_found(action, account, cx, now),
        Refusal::NotAllowed => not_allowed(action, account),
        Refusal::RecoveryClosed => {
            "its retention is over and its removal is ordered: nothing brings it back; create a new service".to_owned()
        }
        Refusal::InvalidState => invalid_state(action, account),
        Refusal::StillInUse => {
            let mut living: Vec<&str> = living(account).collect();
            living.sort_unstable();
            format!("it still has {}: cancel what it has first", some_of(&living))
        }
        Refusal::UnsettledDebt => unsettled_debt(account),
        Refusal::NeedsConfirmation => needs_confirmation(action, account),
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

fn not_found(action: &Action, account: &Account, cx: &Context<'_>, now: Timestamp) -> String {
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
        return format!(
            "no price list in force at {now} has a plan `{plan}` for accounts in {currency}; see `bursar prices list`"
        );
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

fn not_allowed(action: &Action, account: &Account) -> String {
    let name = &account.name;
    if account.standing == Standing::Closed {
        return format!("account `{name}` is closed, and takes nothing any more");
    }
    if let Action::CreditInvoice { .. } = action {
        return "it was issued elsewhere, before its account came here, and its lines are not here: credit it without \
            --reissue, and bill it anew by `bursar accounts adjust`"
            .to_owned();
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
        (Action::Cancel { when: CancelWhen::PeriodEnd, .. }, Some(Kind::Daily(_) | Kind::Server(_))) => {
            Some("only term services are cancelled at their period's end; leave out --at-period-end")
        }
        (Action::Void { .. }, Some(Kind::Server(_))) => {
            Some("it is paid by invoice; credit that with `bursar invoices credit`")
        }
        (Action::Void { .. }, Some(_)) => {
            Some("its period was paid for elsewhere; give back by `bursar accounts adjust`")
        }
        (Action::Usage { .. }, Some(Kind::Daily(_) | Kind::Term(_))) => Some("only servers have metered components"),
        _ => None,
    };
    if let (Standing::Suspended(reason), None) = (account.standing, of_mode) {
        let way = match reason {
            SuspendReason::Unpaid => unsettled_debt(account),
            SuspendReason::Fraud | SuspendReason::Admin => format!("`bursar accounts restore {name}` first"),
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

fn unsettled_debt(account: &Account) -> String {
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
    format!("{}; it has to be paid first, like by `bursar accounts deposit`", owed.join(", "))
}

fn needs_confirmation(action: &Action, account: &Account) -> String {
    if let Action::Change { service, change, .. } = action {
        let lowered =
            account.service(service).map(|service| &service.order).map_or_else(String::new, |old| lowered(old, change));
        return format!("it lowers a quantity{lowered} and so destroys data: add --confirm-data-loss if that is meant");
    }
    let rest = with_currency(account.wallet, account.currency);
    format!("the wallet still has {rest}: say what becomes of it by --rest refund or --rest waive")
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
