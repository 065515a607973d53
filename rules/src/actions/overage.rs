//! Overage of a trial's servers, charged to the card before what brings it (rule 7.3).

use crate::account::Waiting;
use crate::actions::{Action, Refusal};
use crate::basis::Basis;
use crate::changes::TransferKind;
use crate::charge::{Answer, Purpose};
use crate::desk::{Desk, Details, Halt};
use crate::money::{Price, round_to_minor};
use crate::prices::{Order, Unpriced};
use crate::service::Service;
use crate::time::{Period, Timestamp};

impl Desk<'_> {
    pub fn overage_worth(&self, worth: Price, covered: bool) -> Price {
        (worth - crate::settle::cover(covered, &self.cx)).max(Price::ZERO)
    }

    /// What a server's overage is worth a month with `order`, at the prices of rule 7.3.
    pub fn overage_of(&self, service: &Service, order: &Order, now: Timestamp) -> Result<Price, Unpriced> {
        let Some(server) = service.server() else { return Ok(Price::ZERO) };
        let at = if server.mode == crate::prices::Mode::Monthly { service.created_at } else { now };
        let worth = crate::settle::worth(server.mode, self.cx.prices.price(order, at)?);
        Ok(self.overage_worth(worth, server.meter.covered))
    }

    /// Charges what a new server brings above the cover.
    pub fn charge_new_overage(&mut self, action: &Action, service: &Service, now: Timestamp) -> Result<(), Halt> {
        let overage = self.overage_of(service, &service.order, now)?;
        self.charge_overage(action, service, Price::ZERO, overage, now)
    }

    /// Charges the overage worth above `charged`, from `now` to the trial's end. The action waits for the
    /// card's answer; without a card, or when it fails, it is refused.
    pub fn charge_overage(
        &mut self,
        action: &Action,
        service: &Service,
        charged: Price,
        overage: Price,
        now: Timestamp,
    ) -> Result<(), Halt> {
        let Some(ends_at) = self.account.trial_end(now) else { return Ok(()) };
        if overage <= charged {
            return Ok(());
        }
        let period = Period::new(now, ends_at);
        let basis = Basis::NewOverage { above: charged, worth: overage, part: period };
        let amount = round_to_minor(&basis.exact(), self.account.currency)?;
        if amount.is_zero() {
            return Ok(());
        }
        let key = self.overage_key(action, now)?;
        match self.ask_card(key, Purpose::Overage { service: service.name.clone() }, amount, now)? {
            Answer::Succeeded => {}
            Answer::Failed | Answer::Pending => return Err(Halt::Refused(Refusal::PaymentFailed)),
        }
        let details =
            Details { service: Some(service.number), period: Some(period), basis: Some(basis), ..Details::default() };
        Ok(self.book(now, TransferKind::CardCredit, amount, details)?)
    }

    /// The key of the charge that this action needs; a first call makes the action wait for its answer.
    fn overage_key(&mut self, action: &Action, now: Timestamp) -> Result<String, Halt> {
        if let Some(key) = &self.finishing {
            return Ok(key.clone());
        }
        if self.account.card.is_none() {
            return Err(Halt::Refused(Refusal::PaymentFailed));
        }
        let key = format!("{}/overage/{}", self.account.id.0, self.account.next.charge);
        self.account.next.charge += 1;
        self.account.waiting = Some(Waiting { at: now, action: action.clone(), key: key.clone() });
        Ok(key)
    }
}
