//! What a run did: counts by kind of change, and the amounts it moved.

use std::collections::BTreeMap;

use rules::{AccountId, Changes, Micros, TransferKind};
use store::ShardProgress;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Accounts that were worked off.
    pub done: u64,
    /// By the name of the transfer or event, and `parked`.
    pub counts: BTreeMap<String, i64>,
    /// What was charged or invoiced, by currency.
    pub moved: BTreeMap<String, Micros>,
    /// Accounts that a card must answer for.
    pub awaiting: Vec<AccountId>,
}

impl Tally {
    pub fn add_changes(&mut self, changes: &Changes) {
        for transfer in &changes.transfers {
            self.count(transfer.kind.name(), 1);
            if matches!(transfer.kind, TransferKind::Period | TransferKind::Upgrade | TransferKind::InvoiceIssued) {
                self.move_amount(changes.account.currency.code(), transfer.amount);
            }
        }
        for event in &changes.events {
            self.count(event.kind.name(), 1);
        }
    }

    pub fn count(&mut self, what: &str, times: i64) {
        match self.counts.get_mut(what) {
            Some(count) => *count += times,
            None => {
                self.counts.insert(what.to_owned(), times);
            }
        }
    }

    pub fn move_amount(&mut self, currency: &str, amount: Micros) {
        let sum = self.moved.entry(currency.to_owned()).or_default();
        // A report's sum, not the books': at the end of the range it stays there.
        *sum = sum.checked_add(amount).unwrap_or(Micros::new(i64::MAX));
    }

    /// Adds these sums to a shard's.
    pub fn add_to(&self, progress: &mut ShardProgress) {
        progress.done += self.done;
        let mut sums = Self {
            counts: std::mem::take(&mut progress.counts),
            moved: std::mem::take(&mut progress.moved),
            ..Self::default()
        };
        for (what, times) in &self.counts {
            sums.count(what, *times);
        }
        for (currency, amount) in &self.moved {
            sums.move_amount(currency, *amount);
        }
        progress.counts = sums.counts;
        progress.moved = sums.moved;
    }

    pub fn merge(&mut self, other: Self) {
        self.done += other.done;
        for (what, times) in other.counts {
            self.count(&what, times);
        }
        for (currency, amount) in other.moved {
            self.move_amount(&currency, amount);
        }
        self.awaiting.extend(other.awaiting);
    }
}
