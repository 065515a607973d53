//! The desk at which one account is worked on: what is known, and what is to be written so far.

use std::collections::BTreeSet;

use crate::account::{Account, AccountId, Past, Sequences, Standing, Trial};
use crate::actions::{Action, Refusal};
use crate::basis::{Basis, Priced};
use crate::changes::{Changes, Event, EventKind, Progress, Transfer, TransferKind};
use crate::charge::{Answer, Intent, Purpose};
use crate::invoice::{CreditNote, InvoiceNumber, Line, Reissue};
use crate::money::{Currency, Exact, Micros, OutOfRange, Price, Quantity, round_to_micros};
use crate::policy::{Outage, Policy};
use crate::prices::{Order, PriceBook, Unpriced};
use crate::service::ServiceNumber;
use crate::time::{Period, Timestamp};

/// What holds for all accounts.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub prices: &'a PriceBook,
    pub policy: &'a Policy,
    pub outages: &'a [Outage],
}

/// Why an account cannot be settled: a fault of the data or of these rules, never of a customer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unsettleable {
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    #[error(transparent)]
    Unpriced(#[from] Unpriced),
    #[error("what is due at {0} stays due after it was done")]
    NoHeadway(Timestamp),
}

/// What stops the work at the desk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Halt {
    Refused(Refusal),
    AwaitsAnswer,
    Unsettleable(Unsettleable),
}

impl<E: Into<Unsettleable>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Unsettleable(error.into())
    }
}

/// A new account; `card` comes with what its authorisation answered (rule 8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAccount {
    pub name: String,
    pub currency: Option<Currency>,
    pub trial: bool,
    pub resume_on_deposit: bool,
    pub card: Option<(String, bool)>,
}

/// Opens an account at `now`. The store gives it its id.
pub fn open_account(new: NewAccount, policy: &Policy, now: Timestamp) -> Account {
    // The day of signing up and the whole days after it (rule 7.1).
    let trial = new.trial.then(|| Trial {
        ends_at: now.next_midnight().plus_days(policy.trial.days),
        ended: false,
        traffic_used: Quantity::ZERO,
        traffic_cost: Price::ZERO,
        traffic_charged: Micros::ZERO,
        traffic_due_after: now,
    });
    Account {
        id: AccountId(0),
        name: new.name,
        currency: new.currency.unwrap_or(policy.currency),
        opened_at: now,
        version: 0,
        settled_at: now,
        standing: Standing::Active,
        verified: new.card.as_ref().is_none_or(|(_, authorised)| *authorised),
        card: new.card.map(|(card, _)| card),
        resume_on_deposit: new.resume_on_deposit,
        wallet: Micros::ZERO,
        brought_in: Micros::ZERO,
        trial,
        daily_paid_until: now,
        invoiced_until: now,
        next: Sequences::default(),
        waiting: None,
        services: Vec::new(),
        invoices: Vec::new(),
        intents: Vec::new(),
        receipts: Vec::new(),
        past: Past::default(),
    }
}

/// Does all that is due at or before `until`, in the order of rule 11.2, or up to a card that must answer first.
pub fn settle(account: Account, cx: &Context<'_>, until: Timestamp) -> Result<Changes, Unsettleable> {
    let mut desk = Desk::new(account, *cx);
    let progress = progress_of(desk.settle(until))?;
    Ok(desk.into_changes(progress))
}

/// Settles up to `now` and then does `action`, or says why not. While a card's answer is awaited, either
/// the action is not begun, or the account keeps it in `waiting`; there is no outcome then.
pub fn act(account: Account, cx: &Context<'_>, action: &Action, now: Timestamp) -> Result<Changes, Unsettleable> {
    let now = now.max(account.settled_at);
    let mut desk = Desk::new(account, *cx);
    let mut progress = progress_of(desk.settle(now))?;
    // What ended on the way is an action that waited, not this one.
    desk.outcome = None;
    if progress == Progress::Settled {
        match desk.perform(action, now) {
            Ok(()) => {
                desk.outcome = Some(Ok(()));
                progress = progress_of(desk.settle(now))?;
            }
            Err(Halt::Refused(refusal)) => desk.outcome = Some(Err(refusal)),
            Err(Halt::AwaitsAnswer) => progress = Progress::AwaitsAnswer,
            Err(Halt::Unsettleable(error)) => return Err(error),
        }
    }
    Ok(desk.into_changes(progress))
}

/// What `action` would take from a wallet that had enough for it.
pub fn cost_of(account: Account, cx: &Context<'_>, action: &Action, now: Timestamp) -> Option<Micros> {
    const ENOUGH: Micros = Micros::new(i64::MAX / 2);
    let changes = act(Account { wallet: ENOUGH, ..account }, cx, action, now).ok()?;
    let takes = |kind| matches!(kind, TransferKind::Period | TransferKind::Upgrade | TransferKind::Charge);
    // What was due before it stands before it.
    let own = changes.transfers.iter().rev().find(|transfer| takes(transfer.kind));
    own.filter(|_| changes.outcome == Some(Ok(()))).map(|transfer| transfer.amount)
}

fn progress_of(result: Result<(), Halt>) -> Result<Progress, Unsettleable> {
    match result {
        // Settling itself refuses nothing: a refusal is an action's, and is its outcome.
        Ok(()) | Err(Halt::Refused(_)) => Ok(Progress::Settled),
        Err(Halt::AwaitsAnswer) => Ok(Progress::AwaitsAnswer),
        Err(Halt::Unsettleable(error)) => Err(error),
    }
}

pub struct Desk<'a> {
    pub cx: Context<'a>,
    pub account: Account,
    pub outcome: Option<Result<(), Refusal>>,
    /// The key of the charge whose answer lets a waiting action go on.
    pub finishing: Option<String>,
    transfers: Vec<Transfer>,
    events: Vec<Event>,
    lines: Vec<(InvoiceNumber, Line)>,
    services: BTreeSet<ServiceNumber>,
    invoices: BTreeSet<InvoiceNumber>,
    credit_notes: Vec<CreditNote>,
    reissues: Vec<Reissue>,
    new_intents: Vec<Intent>,
    used_intents: Vec<(String, Answer)>,
    used_receipts: Vec<(i64, Timestamp)>,
}

/// What is booked beside a transfer's kind and amount.
#[derive(Default)]
pub struct Details {
    pub service: Option<ServiceNumber>,
    pub invoice: Option<InvoiceNumber>,
    pub period: Option<Period>,
    pub basis: Option<Basis>,
    pub author: Option<String>,
    pub reason: Option<String>,
    pub corrects: Option<i64>,
}

impl<'a> Desk<'a> {
    pub fn new(account: Account, cx: Context<'a>) -> Self {
        Self {
            cx,
            account,
            outcome: None,
            finishing: None,
            transfers: Vec::new(),
            events: Vec::new(),
            lines: Vec::new(),
            services: BTreeSet::new(),
            invoices: BTreeSet::new(),
            credit_notes: Vec::new(),
            reissues: Vec::new(),
            new_intents: Vec::new(),
            used_intents: Vec::new(),
            used_receipts: Vec::new(),
        }
    }

    pub fn into_changes(mut self, progress: Progress) -> Changes {
        let changed = |number: &InvoiceNumber| self.invoices.contains(number);
        let invoices = self.account.invoices.iter().filter(|invoice| changed(&invoice.number)).cloned().collect();
        self.account.invoices.retain(|invoice| invoice.paid_at.is_none());
        self.account.past = Past::default();
        // An intent of this very decision is written as a new one.
        Changes {
            transfers: self.transfers,
            events: self.events,
            lines: self.lines,
            services: self.services.into_iter().collect(),
            invoices,
            credit_notes: self.credit_notes,
            reissues: self.reissues,
            new_intents: self.new_intents,
            used_intents: self.used_intents,
            used_receipts: self.used_receipts,
            progress,
            outcome: self.outcome,
            account: self.account,
        }
    }

    /// Books a transfer and moves the wallet by it. One of nothing is not booked, except a period's and its
    /// reversal (rule 3.1).
    pub fn book(
        &mut self,
        at: Timestamp,
        kind: TransferKind,
        amount: Micros,
        details: Details,
    ) -> Result<(), OutOfRange> {
        if amount.is_zero() && !kind.is_booked_at_zero() {
            return Ok(());
        }
        self.account.wallet = match kind.wallet_sign() {
            1 => self.account.wallet.checked_add(amount)?,
            -1 => self.account.wallet.checked_sub(amount)?,
            _ => self.account.wallet,
        };
        self.account.brought_in = match kind.brought_in_sign() {
            1 => self.account.brought_in.checked_add(amount)?,
            -1 => self.account.brought_in.checked_sub(amount)?,
            _ => self.account.brought_in,
        };
        let Details { service, invoice, period, basis, author, reason, corrects } = details;
        let number = self.account.next.transfer;
        self.account.next.transfer += 1;
        self.transfers.push(Transfer {
            number,
            effective_at: at,
            kind,
            amount,
            service,
            invoice,
            period,
            basis,
            author,
            reason,
            corrects,
        });
        Ok(())
    }

    pub fn tell(
        &mut self,
        at: Timestamp,
        kind: EventKind,
        service: Option<ServiceNumber>,
        invoice: Option<InvoiceNumber>,
    ) {
        let number = self.account.next.event;
        self.account.next.event += 1;
        self.events.push(Event { number, at, kind, service, invoice });
    }

    pub fn tell_of_account(&mut self, at: Timestamp, kind: EventKind) {
        self.tell(at, kind, None, None);
    }

    /// Tells what became of the service at `index`, and has it written.
    pub fn tell_of_service(&mut self, at: Timestamp, kind: EventKind, index: usize) {
        let number = self.touch(index);
        self.tell(at, kind, Some(number), None);
    }

    /// Has the service at `index` written; answers its number.
    pub fn touch(&mut self, index: usize) -> ServiceNumber {
        let number = self.account.services[index].number;
        self.services.insert(number);
        number
    }

    pub fn touch_invoice(&mut self, number: InvoiceNumber) {
        self.invoices.insert(number);
    }

    pub fn write_line(&mut self, invoice: InvoiceNumber, line: Line) {
        self.lines.push((invoice, line));
    }

    pub fn write_credit_note(&mut self, note: CreditNote) {
        self.credit_notes.push(note);
    }

    pub fn write_reissue(&mut self, reissue: Reissue) {
        self.reissues.push(reissue);
    }

    /// What was booked for a service since its last period was charged, here or before.
    pub fn charges_of(&self, service: ServiceNumber) -> Vec<&Transfer> {
        let known = self.account.past.charges.iter().chain(&self.transfers);
        known.filter(|transfer| transfer.service == Some(service)).collect()
    }

    /// The lines of an invoice, issued here or before.
    pub fn lines_of(&self, invoice: InvoiceNumber) -> Vec<Line> {
        let here = self.lines.iter().filter(|(number, _)| *number == invoice).map(|(_, line)| line);
        self.account.past.lines.iter().chain(here).cloned().collect()
    }

    /// What the card paid of an invoice, here or before.
    pub fn paid_by_card(&self, invoice: InvoiceNumber) -> Result<Micros, OutOfRange> {
        let by_card = |transfer: &&Transfer| {
            transfer.kind == TransferKind::InvoicePaidByCard && transfer.invoice == Some(invoice)
        };
        let here = self.transfers.iter().filter(by_card);
        here.map(|transfer| transfer.amount).try_fold(self.account.past.paid_by_card, Micros::checked_add)
    }

    pub fn use_receipt(&mut self, id: i64, at: Timestamp) {
        self.used_receipts.push((id, at));
    }

    /// The order's price by the version of `at`, with what it is the price of.
    pub fn priced(&self, order: &Order, at: Timestamp) -> Result<Priced, Unpriced> {
        let since = self.cx.prices.version_of(&order.plan, at);
        let price = self.cx.prices.price(order, at)?;
        Ok(Priced { order: order.clone(), list: (since != Timestamp::BEGINNING).then_some(since), price })
    }

    /// The amount to charge, if the wallet covers it whole (rule 3.1).
    pub fn covered(&self, exact: &Exact) -> Option<Micros> {
        // What is beyond the ledger's range is beyond every wallet too.
        round_to_micros(exact).ok().filter(|amount| self.account.wallet >= *amount)
    }

    /// The answer of the saved card to a charge; the intent to ask it is committed first (rule 11.7).
    pub fn ask_card(
        &mut self,
        key: String,
        purpose: Purpose,
        amount: Micros,
        due_at: Timestamp,
    ) -> Result<Answer, Halt> {
        let known = self.account.intents.iter().position(|intent| intent.key == key);
        if let Some(index) = known {
            let answer = self.account.intents[index].answer.ok_or(Halt::AwaitsAnswer)?;
            self.account.intents.remove(index);
            self.used_intents.push((key, answer));
            return Ok(answer);
        }
        let card = self.account.card.clone().ok_or(Halt::Refused(Refusal::PaymentFailed))?;
        let intent = Intent { key, purpose, card, amount, due_at, answer: None };
        self.account.intents.push(intent.clone());
        self.new_intents.push(intent);
        Err(Halt::AwaitsAnswer)
    }
}
