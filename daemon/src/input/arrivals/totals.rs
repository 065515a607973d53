//! What a file comes to, and what its last line says that it does.

use std::collections::{BTreeMap, BTreeSet};

use rules::{Micros, OutOfRange};

use super::Imported;
use crate::input::reader::{Table, Value};
use crate::input::words;

const KEYS: &[&str] = &["kind", "accounts", "services", "invoices", "wallets", "open"];

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Totals {
    pub accounts: u64,
    pub services: u64,
    pub invoices: u64,
    pub wallets: BTreeMap<String, Micros>,
    pub open: BTreeMap<String, Micros>,
}

impl Totals {
    pub fn read(table: &Table<'_>) -> Option<Self> {
        table.only(KEYS);
        let count = words::whole(0..=u32::MAX);
        let [accounts, services, invoices] = ["accounts", "services", "invoices"].map(|key| table.or(key, 0, &count));
        let sums =
            |value: &Value<'_>| words::named(value, "amounts by currency, like {\"USD\": \"12.00\"}", words::sum);
        let wallets = table.or("wallets", BTreeMap::new(), sums);
        let open = table.or("open", BTreeMap::new(), sums);
        Some(Self {
            accounts: u64::from(accounts?),
            services: u64::from(services?),
            invoices: u64::from(invoices?),
            wallets: wallets?,
            open: open?,
        })
    }

    pub fn count(&mut self, imported: &Imported) -> Result<(), OutOfRange> {
        let arrival = &imported.arrival;
        let code = arrival.currency.code();
        self.accounts += 1;
        self.services += u64::try_from(arrival.services.len()).unwrap_or_default();
        self.invoices += u64::try_from(arrival.invoices.len()).unwrap_or_default();
        if !arrival.wallet.is_zero() {
            add(&mut self.wallets, code, arrival.wallet)?;
        }
        arrival.invoices.iter().try_for_each(|invoice| add(&mut self.open, code, invoice.open))
    }

    /// Each key of what was said that is not so, with why not.
    pub fn differences(&self, said: &Self) -> Vec<(String, String)> {
        let counts = [
            ("accounts", said.accounts, self.accounts),
            ("services", said.services, self.services),
            ("invoices", said.invoices, self.invoices),
        ];
        let counts = counts.into_iter().filter(|(_, said, counted)| said != counted);
        let mut found: Vec<(String, String)> =
            counts.map(|(key, said, counted)| (key.to_owned(), format!("{said}: the file has {counted}"))).collect();
        for (key, said, summed) in [("wallets", &said.wallets, &self.wallets), ("open", &said.open, &self.open)] {
            let codes: BTreeSet<&String> = said.keys().chain(summed.keys()).collect();
            for code in codes {
                let [said, summed] = [said, summed].map(|sums| sums.get(code).copied().unwrap_or_default());
                if said != summed {
                    found.push((format!("{key}.{code}"), format!("{said}: the file comes to {summed}")));
                }
            }
        }
        found
    }
}

/// Adds to the sum of a currency.
pub fn add(sums: &mut BTreeMap<String, Micros>, code: &str, amount: Micros) -> Result<(), OutOfRange> {
    let sum = sums.get(code).copied().unwrap_or_default().checked_add(amount)?;
    sums.insert(code.to_owned(), sum);
    Ok(())
}
