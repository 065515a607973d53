//! `bursar prices diff`.

use std::fmt::Display;

use rules::{AccountDifference, AccountId, Comparison, Mode, Price};
use serde_json::{Value, json};
use store::Store;

use super::{DiffArgs, Laid, since};
use crate::cli::DONE;
use crate::tables::{counted, table};

/// Services that are read at once.
const PAGE: u32 = 2_000;

/// Accounts that are shown, of those that pay most more.
const SHOWN: usize = 20;

pub async fn run(args: DiffArgs) -> anyhow::Result<u8> {
    let store = args.new.books.store().await?;
    let laid = args.new.lay(&store).await?;
    let compared = compare(&store, &laid).await?;
    store.close().await;
    let most = if args.all { usize::MAX } else { SHOWN };
    args.format.print(&json_of(&laid, &compared, usize::MAX)?, &text(&laid, &compared, most)?)?;
    Ok(DONE)
}

/// Prices every living service both ways; the services come page by page.
pub async fn compare<'a>(store: &Store, laid: &'a Laid) -> anyhow::Result<Comparison<'a>> {
    let mut compared = Comparison::new(&laid.old, &laid.new, laid.since);
    let mut after = (AccountId(i64::MIN), i64::MIN);
    loop {
        let services = store.services_after(after, PAGE).await?;
        let Some(last) = services.last() else { return Ok(compared) };
        after = (last.id, last.service.number);
        for owned in &services {
            compared.add(&owned.account, owned.currency, &owned.service);
        }
    }
}

/// The plans, and the accounts that pay most more.
pub fn text(laid: &Laid, compared: &Comparison<'_>, most: usize) -> anyhow::Result<String> {
    let mut text = format!("{}, in force {}", counted(laid.list.len(), "plan"), since(laid.since));
    let mut plans = table(&["plan", "currency", "services", "now", "then", "difference", "per"], &[2, 3, 4, 5]);
    for ((plan, currency), sums) in compared.plans() {
        let (old, new) = (sums.old, sums.new);
        plans.add_row([
            plan.clone(),
            (*currency).to_owned(),
            sums.services.to_string(),
            old.to_string(),
            new.to_string(),
            signed(new - old, new > old),
            per(sums.mode, sums.months),
        ]);
    }
    text += &format!("\n{plans}");
    for ((plan, currency), sums) in compared.plans().iter().filter(|(_, sums)| sums.unpriced_until_now > 0) {
        let services = counted(sums.unpriced_until_now, "service");
        text += &format!("\n{services} of `{plan}` in {currency}: not priced until now, compared with nothing paid");
    }
    if compared.unpriced() > 0 {
        text += &format!("\n{} of no price list; `bursar verify` names them", counted(compared.unpriced(), "service"));
    }
    let differing = compared.accounts()?;
    if differing.is_empty() {
        return Ok(text + "\nNo account sees a difference.");
    }
    let head = ["account", "currency", "services", "a month now", "a month then", "difference"];
    let mut accounts = table(&head, &[2, 3, 4, 5]);
    for account in differing.iter().take(most) {
        let AccountDifference { account, currency, services, old, new } = account;
        accounts.add_row([
            account.clone(),
            currency.code().to_owned(),
            services.to_string(),
            old.to_string(),
            new.to_string(),
            signed(new.checked_sub(*old)?, new > old),
        ]);
    }
    text += &format!("\n{accounts}");
    match differing.len().saturating_sub(most) {
        0 => {}
        left => text += &format!("\nand {} more; `prices diff --all` shows them", counted(left, "account")),
    }
    Ok(text)
}

fn signed(difference: impl Display, is_more: bool) -> String {
    if is_more { format!("+{difference}") } else { difference.to_string() }
}

fn per(mode: Mode, months: u32) -> String {
    match mode {
        Mode::Daily => "day".to_owned(),
        Mode::Hourly => "hour".to_owned(),
        Mode::Monthly => "month".to_owned(),
        Mode::Term if months == 1 => "month".to_owned(),
        Mode::Term => format!("{months} months"),
    }
}

/// The plans, and so many of the accounts that pay most more.
pub fn json_of(laid: &Laid, compared: &Comparison<'_>, most: usize) -> anyhow::Result<Value> {
    let amount = |price: Price| price.to_string();
    let plans: Vec<Value> = compared
        .plans()
        .iter()
        .map(|((plan, currency), sums)| {
            json!({
                "plan": plan, "currency": currency, "services": sums.services,
                "not_priced_until_now": sums.unpriced_until_now, "now": amount(sums.old),
                "then": amount(sums.new), "difference": amount(sums.new - sums.old), "per": per(sums.mode, sums.months),
            })
        })
        .collect();
    let mut accounts = Vec::new();
    let differing = compared.accounts()?;
    let (count, unpriced) = (differing.len(), compared.unpriced());
    for account in differing.into_iter().take(most) {
        let AccountDifference { account, currency, services, old, new } = account;
        accounts.push(json!({
            "account": account, "currency": currency.code(), "services": services, "now": old.to_string(),
            "then": new.to_string(), "difference": new.checked_sub(old)?.to_string(), "per": "month",
        }));
    }
    Ok(json!({
        "effective_at": since(laid.since), "plans": plans, "accounts": accounts, "differing": count,
        "unpriced": unpriced,
    }))
}
