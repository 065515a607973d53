//! wrk presses on a server.

use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    Account,
    Deposit,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Account => "account",
            Self::Deposit => "deposit",
        })
    }
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measured {
    pub per_second: u64,
    pub p99: Duration,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6}/s, p99 {:>9.3?}", self.per_second, self.p99)
    }
}

/// Each deposit has a reference of its own.
fn script(wanted: Wanted, keys: &[String], mark: &str, accounts: usize) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("'Bearer {key}'")).collect();
    let head = format!(
        "local number = 0\nlocal keys = {{ {} }}\nlocal function key() return keys[number % #keys + 1] end\n",
        keys.join(", ")
    );
    let request = match wanted {
        Wanted::Account => format!(
            "request = function()
                number = number + 1
                return wrk.format('GET', '/v1/accounts/acc-' .. (number % {accounts}), {{ ['Authorization'] = key() }})
            end"
        ),
        Wanted::Deposit => format!(
            "request = function()
                number = number + 1
                local headers = {{ ['Authorization'] = key(), ['Content-Type'] = 'application/json' }}
                headers['Idempotency-Key'] = '{mark}-' .. number
                local body = '{{\"amount\": \"1.25\", \"reference\": \"{mark}-' .. number .. '\"}}'
                return wrk.format('POST', '/v1/accounts/acc-' .. (number % {accounts}) .. '/deposits', headers, body)
            end"
        ),
    };
    head + &request
}

pub fn press(
    wanted: Wanted,
    at: SocketAddr,
    keys: &[String],
    mark: &str,
    seconds: u32,
    accounts: usize,
) -> anyhow::Result<Measured> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(script(wanted, keys, mark, accounts).as_bytes())?;
    let run = Command::new("wrk")
        .args(["--threads", "1", "--connections", "64", "--latency", "--timeout", "20s"])
        .args(["--duration", &format!("{seconds}s"), "--script"])
        .arg(file.path())
        .arg(format!("http://{at}"))
        .output()
        .context("this benchmark needs wrk: install Debian's package `wrk`")?;
    let told = String::from_utf8_lossy(&run.stdout);
    anyhow::ensure!(!told.contains("Non-2xx"), "not every request was answered well:\n{told}");
    let word_behind = |start: &str| {
        let line = told.lines().find_map(|line| line.trim().strip_prefix(start));
        line.and_then(|rest| rest.split_whitespace().next()).with_context(|| format!("wrk says no `{start}`:\n{told}"))
    };
    let per_second = word_behind("Requests/sec:")?.split('.').next().unwrap_or_default().parse()?;
    Ok(Measured { per_second, p99: duration(word_behind("99%")?)? })
}

/// As in `12.34ms`, `900.00us` or `1.20s`.
fn duration(text: &str) -> anyhow::Result<Duration> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let (whole, hundredths) = number.split_once('.').unwrap_or((number, "00"));
    let hundredths = whole.parse::<u64>()? * 100 + format!("{hundredths:0<2}")[..2].parse::<u64>()?;
    let nanos = match &text[number.len()..] {
        "us" => 10,
        "ms" => 10_000,
        "s" => 10_000_000,
        "m" => 600_000_000,
        unit => anyhow::bail!("wrk says `{unit}`"),
    };
    Ok(Duration::from_nanos(hundredths * nanos))
}
