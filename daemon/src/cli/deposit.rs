//! `bursar accounts deposit`: money that an admin saw come.

use jobs::{JobError, Office};
use rules::{Account, AccountId, Changes, Micros, ReceiptKind, Refusal, Standing, Timestamp};
use store::{NewReceipt, ReceiptRow};

use crate::cli::act::{Brought, brought, load, note};
use crate::cli::books::Refused;
use crate::cli::rows::with_currency;
use crate::input::BadInput;
use crate::view::DepositView;

/// Under which provider it is kept; the reference is the payment.
pub const PROVIDER: &str = "manual";

/// Registers the money once, however often it is told, and books it.
pub async fn deposit(
    office: &Office,
    id: AccountId,
    amount: Micros,
    reference: &str,
    author: &str,
) -> anyhow::Result<Deposited> {
    let registered = register(office, id, amount, reference, author).await?;
    registered.book(office).await?;
    registered.read(office).await
}

/// Registers the money once, however often it is told.
pub async fn register(
    office: &Office,
    id: AccountId,
    amount: Micros,
    reference: &str,
    author: &str,
) -> anyhow::Result<Registered> {
    let before = load(office, id, None).await?;
    let (name, currency) = (before.name.as_str(), before.currency);
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
        note(office, &before, ("deposit", None), &refused, author).await;
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
    Ok(Registered { before, kept, is_new })
}

/// Money that came and is kept, before it is in the books.
pub struct Registered {
    before: Account,
    kept: ReceiptRow,
    is_new: bool,
}

impl Registered {
    /// As whoever asked for it first sees it.
    pub fn as_new(self) -> Self {
        Self { is_new: true, ..self }
    }

    /// Also where it was kept before and not booked: a command that was cut off is finished by the same one.
    pub async fn book(&self, office: &Office) -> Result<(), JobError> {
        office.settle_and_collect(&[self.before.id], office.clock.now()).await?;
        Ok(())
    }

    /// What came of it, as the books have it now.
    pub async fn read(&self, office: &Office) -> anyhow::Result<Deposited> {
        let kept = office.store.receipt(PROVIDER, &self.kept.payment, ReceiptKind::Deposit).await?;
        let kept = kept.unwrap_or_else(|| self.kept.clone());
        Ok(Deposited { kept, is_new: self.is_new, brought: brought(office, &self.before, None).await? })
    }

    /// What its booking comes to, if it is among `changes` that are about to be written.
    pub fn booked_by(&self, changes: &Changes, now: Timestamp) -> Option<Deposited> {
        let (_, counts_from) = changes.used_receipts.iter().find(|(id, _)| *id == self.kept.id)?;
        let kept = ReceiptRow { effective_at: Some(*counts_from), ..self.kept.clone() };
        Some(Deposited { is_new: self.is_new, ..Deposited::of(kept, changes, now) })
    }
}

/// Money that came, now or before.
pub struct Deposited {
    kept: ReceiptRow,
    is_new: bool,
    brought: Brought,
}

impl Deposited {
    /// Money that `changes` take in as it comes.
    pub fn of(kept: ReceiptRow, changes: &Changes, now: Timestamp) -> Self {
        Self { kept, is_new: true, brought: Brought::of_settling(changes, now) }
    }

    pub fn view(&self) -> DepositView {
        DepositView {
            reference: self.kept.payment.clone(),
            amount: self.kept.amount.to_string(),
            known_already: !self.is_new,
            booked_at: self.kept.effective_at.map(|at| at.to_string()),
            change: self.brought.view(),
        }
    }

    pub const fn account(&self) -> &Account {
        self.brought.account()
    }

    pub fn text(&self) -> String {
        let (amount, reference) = (with_currency(self.kept.amount, self.kept.currency), &self.kept.payment);
        let first = match (self.is_new, self.kept.effective_at) {
            (false, Some(at)) => {
                format!("Known: {amount} with reference `{reference}` came {at} and is booked once.")
            }
            (true, Some(_)) => format!("{amount} came, with reference `{reference}`."),
            (_, None) => {
                format!("{amount} is registered with reference `{reference}`; the daemon books it when it can.")
            }
        };
        format!("{first}\n{}", self.brought.text())
    }
}
