//! What a period needed that the wallet did not cover, and what the wallet had at that point.

use rules::{Basis, Micros, Order, Period, Priced, Service, Timestamp, TransferKind, round_to_micros};
use store::{EventRow, LedgerRow, ServiceRow};

use super::Asked;

pub struct Shortage {
    pub needed: Option<Micros>,
    pub basis: Basis,
    pub wallet: Micros,
    /// The entry that left the wallet so.
    pub after: Option<LedgerRow>,
}

impl Asked<'_> {
    pub async fn shortage(&self, event: &EventRow, service: &ServiceRow) -> anyhow::Result<Shortage> {
        let at = event.at;
        let priced = self.priced_at(service, at).await?;
        let needed = round_to_micros(&priced.price.exact()).ok();
        let moment = Period::new(at, at);
        let (wallet, after) = self.wallet_before(at, &service.service).await?;
        Ok(Shortage { needed, basis: Basis::Share { of: priced, part: moment, whole: moment }, wallet, after })
    }

    /// The price at `at` of what the service was then: its entries up to there say how it was ordered.
    async fn priced_at(&self, service: &ServiceRow, at: Timestamp) -> anyhow::Result<Priced> {
        const LOOKED_AT: u32 = 50;
        let entries = self.store.transfers_of_service(self.id, service.service.number, at, LOOKED_AT).await?;
        let ordered = entries.iter().find_map(|row| row.basis.as_ref()?.priced());
        let order: Order = ordered.map_or_else(|| service.service.order.clone(), |priced| priced.order.clone());
        let since = self.book.version_of(&order.plan, at);
        let list = (since != Timestamp::BEGINNING).then_some(since);
        Ok(Priced { price: self.book.price(&order, at)?, order, list })
    }

    /// The wallet when the period of `service` that begins at `at` came to be charged.
    async fn wallet_before(&self, at: Timestamp, service: &Service) -> anyhow::Result<(Micros, Option<LedgerRow>)> {
        let of_second = self.store.statement(self.id, Period::new(at, at.plus_secs(1)), None, u32::MAX).await?;
        let names: Vec<&str> = of_second.entries.iter().filter_map(|row| row.service.as_deref()).collect();
        let account = self.account_with(&names).await?;
        // At one second a trial's end comes first, then the periods in the order of their services (rule 11.2).
        let comes_before = |row: &&LedgerRow| match row.kind {
            TransferKind::CardCredit | TransferKind::InvoicePaidByWallet => true,
            TransferKind::Period => {
                let other = row.service.as_deref().and_then(|name| account.service(name));
                other.is_some_and(|other| other.rank() < service.rank())
            }
            _ => false,
        };
        let mut wallet = of_second.opening.get();
        let mut last = None;
        for row in of_second.entries.iter().take_while(comes_before) {
            wallet += row.wallet_amount().unwrap_or_default().get();
            last = Some(row.clone());
        }
        if last.is_none() {
            last = self.store.wallet_entry_before(self.id, at).await?;
        }
        Ok((Micros::new(wallet), last))
    }
}
