//! The file that the old host's books come in.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use rules::Timestamp;

use super::INSTANCES;

const DAY_SECS: i64 = 86_400;

/// What a wallet holds, in whole units: nobody runs out.
const WALLET: usize = 900_000;

/// What a host sells, and how much of it to each account.
#[derive(Clone, Copy)]
pub struct Sold {
    pub plan: &'static str,
    pub each: usize,
}

impl Sold {
    pub const DAILY: Self = Self { plan: "daily", each: INSTANCES };
    pub const MONTHLY: Self = Self { plan: "monthly", each: 3 };
}

/// Books on the day before a midnight, until which all is paid.
pub fn write(file: &Path, sold: Sold, size: usize, at: Timestamp) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    let (since, paid_until) = (at.plus_secs(-30 * DAY_SECS), at.next_midnight());
    let accounts = size / sold.each;
    let size = accounts * sold.each;
    let quantities = if sold.plan == "daily" { r#"{"cpe": "250"}"# } else { "{}" };
    for account in (0..accounts).map(|n| format!("a{n}")) {
        let email = format!("billing@{account}.example");
        writeln!(out, r#"{{"kind": "account", "name": "{account}", "opened_at": "{since}", "email": "{email}"}}"#)?;
        writeln!(out, r#"{{"kind": "wallet", "account": "{account}", "balance": "{WALLET}.00"}}"#)?;
        for instance in 0..sold.each {
            write!(out, r#"{{"kind": "service", "account": "{account}", "name": "{account}-{instance}", "#)?;
            write!(out, r#""plan": "{}", "quantities": {quantities}, "#, sold.plan)?;
            writeln!(out, r#""created_at": "{since}", "paid_until": "{paid_until}"}}"#)?;
        }
    }
    let wallets = accounts * WALLET;
    write!(out, r#"{{"kind": "totals", "accounts": {accounts}, "services": {size}, "invoices": 0, "#)?;
    writeln!(out, r#""wallets": {{"USD": "{wallets}.00"}}, "open": {{}}}}"#)?;
    out.flush()
}
