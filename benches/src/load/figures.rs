//! Figures to print, in integers as everything here.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// The most memory that this process ever had, as Linux counts it.
pub fn peak_memory() -> anyhow::Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")).context("VmHWM: not in /proc/self/status")?;
    Ok(mebibytes(kibibytes.parse::<u64>()? * 1024))
}

pub fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

pub fn seconds(took: Duration) -> String {
    format!("{}.{:02}", took.as_secs(), took.subsec_millis() / 10)
}

pub fn each_second(count: usize, took: Duration) -> u128 {
    u128::try_from(count).unwrap_or(u128::MAX).saturating_mul(1_000_000) / took.as_micros().max(1)
}
