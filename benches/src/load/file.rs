//! The file that the old host's books come in.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use rules::Timestamp;

use super::INSTANCES;

const DAY_SECS: i64 = 86_400;

/// What a wallet holds, in whole units: nobody runs out.
const WALLET: usize = 900_000;

pub fn write(file: &Path, size: usize, at: Timestamp) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    let (since, paid_until) = (at.plus_secs(-30 * DAY_SECS), at.next_midnight());
    let accounts = size / INSTANCES;
    for account in (0..accounts).map(|n| format!("a{n}")) {
        let email = format!("billing@{account}.example");
        writeln!(out, r#"{{"kind": "account", "name": "{account}", "opened_at": "{since}", "email": "{email}"}}"#)?;
        writeln!(out, r#"{{"kind": "wallet", "account": "{account}", "balance": "{WALLET}.00"}}"#)?;
        for instance in 0..INSTANCES {
            write!(out, r#"{{"kind": "service", "account": "{account}", "name": "{account}-{instance}", "#)?;
            write!(out, r#""plan": "daily", "quantities": {{"cpe": "250"}}, "#)?;
            writeln!(out, r#""created_at": "{since}", "paid_until": "{paid_until}"}}"#)?;
        }
    }
    let wallets = accounts * WALLET;
    write!(out, r#"{{"kind": "totals", "accounts": {accounts}, "services": {size}, "invoices": 0, "#)?;
    writeln!(out, r#""wallets": {{"USD": "{wallets}.00"}}, "open": {{}}}}"#)?;
    out.flush()
}
