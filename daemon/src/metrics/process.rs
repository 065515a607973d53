//! What the kernel says of this process: nothing but of itself, as the unit leaves it.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::metrics::families::{CPU, MOST_FILES, OPEN_FILES, RESIDENT, THREADS};
use crate::metrics::page::{Page, Seconds};

const KIB: u64 = 1024;

pub fn tell(page: &mut Page) {
    page.set(&CPU, &[], Seconds(cpu()));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |key: &str| number(status.lines().find_map(|line| line.strip_prefix(key))?);
    if let Some(kib) = of("VmRSS:") {
        page.set(&RESIDENT, &[], kib.saturating_mul(KIB));
    }
    if let Some(threads) = of("Threads:") {
        page.set(&THREADS, &[], threads);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // Without the one that this listing takes.
        page.set(&OPEN_FILES, &[], files.count().saturating_sub(1));
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        page.set(&MOST_FILES, &[], most);
    }
}

fn number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (secs, nanos) =
        (u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default());
    Duration::new(secs, nanos)
}
