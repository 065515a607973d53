//! `bursar accounts deposit`: money that an admin saw come.

use jobs::Office;
use rules::{Micros, ReceiptKind, Refusal, Standing};
use serde_json::{Value, json};
use store::{NewReceipt, ReceiptRow};

use crate::cli::act::{Brought, brought, load, note};
use crate::cli::books::{self, Refused};
use crate::cli::rows::with_currency;
use crate::input::BadInput;

/// Under which provider it is kept; the reference is the payment.
const PROVIDER: &str = "manual";

/// Registers the money once, however often it is told, and books it.
pub async fn deposit(office: &Office, name: &str, amount: Micros, reference: &str) -> anyhow::Result<(Value, String)> {
    let id = books::account(&office.store, name).await?;
    let before = load(office, id, None).await?;
    let currency = before.currency;
    if !amount.is_whole_minor(currency) {
        let digits = currency.digits();
        return Err(
            BadInput(format!("amount {amount}: {currency} has {digits} decimals, so no more can have come")).into()
        );
    }
    let kind = ReceiptKind::Deposit;
    let known = office.store.receipt(PROVIDER, reference, kind).await?;
    if known.is_none() && before.standing == Standing::Closed {
        let why = format!("account `{name}` is closed, and takes nothing any more: give the money back");
        let refused = Refused { code: Refusal::NotAllowed.name(), why };
        note(office, &before, ("deposit", None), &refused).await;
        return Err(refused.into());
    }
    let now = office.clock.now();
    let receipt = NewReceipt { account: id, provider: PROVIDER, payment: reference, kind, amount, provider_at: None };
    let is_new = office.store.receipt_insert(&receipt, now).await?;
    let kept = office.store.receipt(PROVIDER, reference, kind).await?;
    let kept = kept.ok_or_else(|| anyhow::anyhow!("the receipt `{reference}` is gone"))?;
    if (kept.account.as_str(), kept.amount) != (name, amount) {
        let was = with_currency(kept.amount, kept.currency);
        let (account, at) = (kept.account, kept.received_at);
        return Err(BadInput(format!(
            "--reference {reference}: it stands for {was} of account `{account}`, registered at {at}; \
            another payment needs another reference"
        ))
        .into());
    }
    // Also where it was kept before and not booked: a command that was cut off is finished by the same one.
    office.settle_and_collect(&[id], now).await?;
    let kept = office.store.receipt(PROVIDER, reference, kind).await?.unwrap_or(kept);
    Ok(told(&kept, is_new, &with_currency(amount, currency), &brought(office, &before, None).await?))
}

fn told(kept: &ReceiptRow, is_new: bool, amount: &str, brought: &Brought) -> (Value, String) {
    let reference = &kept.payment;
    let first = match (is_new, kept.effective_at) {
        (false, Some(at)) => format!("Known: {amount} with reference `{reference}` came {at} and is booked once."),
        (true, Some(_)) => format!("{amount} came, with reference `{reference}`."),
        (_, None) => format!("{amount} is registered with reference `{reference}`; the daemon books it when it can."),
    };
    let mut json = brought.json();
    json["reference"] = json!(reference);
    json["known_already"] = json!(!is_new);
    json["booked_at"] = json!(kept.effective_at.map(|at| at.to_string()));
    (json, format!("{first}\n{}", brought.text()))
}
