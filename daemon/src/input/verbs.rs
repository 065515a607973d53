//! What a timeline's entry does, in the words of scenario files.

use rules::{Action, CancelWhen, Currency, Micros, OrderChange, PriceList, Rest, SuspendReason, Timestamp};

use super::prices;
use super::reader::{Table, Value};
use super::words;

/// The author of a scenario's adjustments.
const AUTHOR: &str = "scenario";

/// How charges of a scenario's saved card end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScriptedCard {
    Succeeds,
    Fails,
}

/// Whose action it is: a service's belongs to the account that created the service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whose {
    Account(String),
    Service(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verb {
    OpenAccount {
        account: String,
        currency: Option<Currency>,
        trial: bool,
        resume_on_deposit: bool,
        card: Option<ScriptedCard>,
    },
    /// How charges of the card end from now on; after none, or with `new`, it is a new card.
    Card {
        account: String,
        card: Option<ScriptedCard>,
        new: bool,
    },
    Deposit {
        account: String,
        amount: Micros,
    },
    Dispute {
        account: String,
        amount: Micros,
    },
    /// All that the rules decide as an action; a service's action names the service itself.
    Act {
        whose: Whose,
        action: Action,
    },
    SetPrices(PriceList),
    /// No daemon was alive from `since` until the entry's time.
    Outage {
        since: Timestamp,
    },
}

/// Each verb with its keys, beside `at` and `do`.
const VERBS: &[(&str, &[&str])] = &[
    ("open_account", &["account", "currency", "trial", "resume_on_deposit", "card"]),
    ("card", &["account", "card", "new"]),
    ("deposit", &["account", "amount"]),
    ("adjust", &["account", "amount", "reason"]),
    ("dispute", &["account", "amount"]),
    ("create_service", &["account", "service", "plan", "quantities", "options"]),
    ("enable", &["service"]),
    ("disable", &["service"]),
    ("change", &["service", "quantities", "options", "plan", "confirm_data_loss"]),
    ("extend", &["service"]),
    ("cancel", &["service", "when"]),
    ("uncancel", &["service"]),
    ("removed", &["service"]),
    ("usage", &["service", "component", "quantity"]),
    ("set_prices", &["plans"]),
    ("outage", &["since"]),
    ("suspend_account", &["account", "reason"]),
    ("restore_account", &["account"]),
    ("close_account", &["account", "rest"]),
];

/// What the entry does. Its time is read elsewhere.
pub fn read(table: &Table<'_>) -> Option<Verb> {
    let verb = table.need("do", verb)?;
    check_keys(table, verb);
    match verb {
        "open_account" => open_account(table),
        "card" => card(table),
        "deposit" => {
            let (account, amount) = account_and_amount(table);
            Some(Verb::Deposit { account: account?, amount: amount? })
        }
        "dispute" => {
            let (account, amount) = account_and_amount(table);
            Some(Verb::Dispute { account: account?, amount: amount? })
        }
        "set_prices" => table.need("plans", prices::plans).map(Verb::SetPrices),
        "outage" => Some(Verb::Outage { since: table.need("since", words::time)? }),
        "adjust" | "create_service" | "suspend_account" | "restore_account" | "close_account" => {
            let account = table.need("account", words::name);
            let action = account_action(verb, table);
            Some(Verb::Act { whose: Whose::Account(account?), action: action? })
        }
        _ => {
            let service = table.need("service", words::name);
            let action = service_action(verb, table, service.clone().unwrap_or_default());
            Some(Verb::Act { whose: Whose::Service(service?), action: action? })
        }
    }
}

fn verb(value: &Value<'_>) -> Option<&'static str> {
    let words: Vec<(&str, &'static str)> = VERBS.iter().map(|(verb, _)| (*verb, *verb)).collect();
    words::one_of(&words)(value)
}

fn check_keys(table: &Table<'_>, verb: &str) {
    let keys = VERBS.iter().find(|(word, _)| *word == verb).map_or(&[][..], |(_, keys)| keys);
    table.only(&[&["at", "do"], keys].concat());
}

const CARDS: &[(&str, Option<ScriptedCard>)] =
    &[("none", None), ("succeeds", Some(ScriptedCard::Succeeds)), ("fails", Some(ScriptedCard::Fails))];

fn open_account(table: &Table<'_>) -> Option<Verb> {
    let account = table.need("account", words::name);
    let currency = table.maybe("currency", words::currency);
    let trial = table.or("trial", false, words::flag);
    let resume_on_deposit = table.or("resume_on_deposit", false, words::flag);
    let card = table.or("card", None, words::one_of(CARDS));
    Some(Verb::OpenAccount {
        account: account?,
        currency: currency?,
        trial: trial?,
        resume_on_deposit: resume_on_deposit?,
        card: card?,
    })
}

fn card(table: &Table<'_>) -> Option<Verb> {
    let account = table.need("account", words::name);
    let card = table.need("card", words::one_of(CARDS));
    let new = table.or("new", false, words::flag);
    if (card, new) == (Some(None), Some(true)) {
        return table.value().fail("a card that is `none` is not a `new` one");
    }
    Some(Verb::Card { account: account?, card: card?, new: new? })
}

fn account_and_amount(table: &Table<'_>) -> (Option<String>, Option<Micros>) {
    (table.need("account", words::name), table.need("amount", words::positive_amount))
}

fn account_action(verb: &str, table: &Table<'_>) -> Option<Action> {
    match verb {
        "adjust" => {
            let amount = table.need("amount", words::signed_amount);
            let reason = table.need("reason", words::text);
            Some(Action::Adjust { amount: amount?, author: AUTHOR.to_owned(), reason: reason? })
        }
        "create_service" => {
            let service = table.need("service", words::name);
            let plan = table.need("plan", words::name);
            let quantities = table.or("quantities", Default::default(), words::quantities);
            let options = table.or("options", Default::default(), words::options);
            Some(Action::CreateService { service: service?, plan: plan?, quantities: quantities?, options: options? })
        }
        "suspend_account" => {
            let reasons = [("admin", SuspendReason::Admin), ("fraud", SuspendReason::Fraud)];
            let reason = table.or("reason", SuspendReason::Admin, words::one_of(&reasons));
            Some(Action::SuspendAccount { reason: reason? })
        }
        "close_account" => {
            let rests = [("waive", Rest::Waive), ("refund", Rest::Refund)];
            Some(Action::CloseAccount { rest: table.maybe("rest", words::one_of(&rests))? })
        }
        _ => Some(Action::RestoreAccount),
    }
}

fn service_action(verb: &str, table: &Table<'_>, service: String) -> Option<Action> {
    match verb {
        "enable" => Some(Action::Enable { service }),
        "disable" => Some(Action::Disable { service }),
        "extend" => Some(Action::Extend { service }),
        "uncancel" => Some(Action::Uncancel { service }),
        "removed" => Some(Action::Removed { service }),
        "cancel" => {
            let times = [("now", CancelWhen::Now), ("period_end", CancelWhen::PeriodEnd)];
            let when = table.or("when", CancelWhen::Now, words::one_of(&times));
            Some(Action::Cancel { service, when: when? })
        }
        "usage" => {
            let component = table.need("component", words::name);
            let quantity = table.need("quantity", words::quantity);
            Some(Action::Usage { service, component: component?, quantity: quantity? })
        }
        _ => change(table, service),
    }
}

fn change(table: &Table<'_>, service: String) -> Option<Action> {
    if ["quantities", "options", "plan"].iter().all(|key| table.get(key).is_none()) {
        return table.value().fail("a change has at least one of `quantities`, `options` and `plan`");
    }
    let plan = table.maybe("plan", words::name);
    let quantities = table.maybe("quantities", words::quantities);
    let options = table.maybe("options", words::options);
    let confirm_data_loss = table.or("confirm_data_loss", false, words::flag);
    let change = OrderChange { plan: plan?, quantities: quantities?, options: options? };
    Some(Action::Change { service, change, confirm_data_loss: confirm_data_loss? })
}
