//! What Prometheus reads: its text format, in which each value stands in a line with its name and labels.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use jobs::Observed;

use crate::metrics::families::{FAMILIES, Family};

/// As [`Page::text`] writes it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Values by their family's name.
#[derive(Debug, Default)]
pub struct Page(BTreeMap<&'static str, String>);

/// Whole seconds and their millionths.
pub struct Seconds(pub Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}

impl Page {
    /// A value, under the family's labels in their order.
    pub fn set(&mut self, family: &'static Family, labels: &[&str], value: impl Display) {
        let pairs = family.labels.iter().copied().zip(labels.iter().copied());
        self.line(family, "", pairs, value);
    }

    /// The same of a yes or no.
    pub fn flag(&mut self, family: &'static Family, labels: &[&str], is_so: bool) {
        self.set(family, labels, u8::from(is_so));
    }

    pub fn observed(&mut self, family: &'static Family, labels: &[&str], observed: &Observed) {
        let pairs = || family.labels.iter().copied().zip(labels.iter().copied());
        for (bound, count) in &observed.within {
            let bound = short(*bound);
            self.line(family, "_bucket", pairs().chain([("le", bound.as_str())]), count);
        }
        self.line(family, "_bucket", pairs().chain([("le", "+Inf")]), observed.count);
        self.line(family, "_sum", pairs(), Seconds(observed.sum));
        self.line(family, "_count", pairs(), observed.count);
    }

    fn line<'a>(
        &mut self,
        family: &'static Family,
        suffix: &str,
        pairs: impl Iterator<Item = (&'a str, &'a str)>,
        value: impl Display,
    ) {
        let pairs = pairs.map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect::<Vec<_>>().join(",");
        let labels = if pairs.is_empty() { pairs } else { format!("{{{pairs}}}") };
        let lines = self.0.entry(family.name).or_default();
        // Into a text nothing fails.
        let _ = writeln!(lines, "{}{suffix}{labels} {value}", family.name);
    }

    /// All of it, also what is known of families without a value.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Family { name, kind, help, .. } in FAMILIES {
            let lines = self.0.get(name).map_or("", String::as_str);
            let _ = write!(text, "# HELP {name} {}\n# TYPE {name} {}\n{lines}", escaped_help(help), kind.name());
        }
        text
    }
}

/// A bound without the zeros behind its last decimal.
fn short(bound: Duration) -> String {
    let text = Seconds(bound).to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(value: &str) -> String {
    escaped_help(value).replace('"', "\\\"")
}

fn escaped_help(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use jobs::Histogram;

    use super::*;
    use crate::metrics::families::{ACCOUNTS_DUE, COMMIT_SECONDS, MONEY, READY};

    #[test]
    fn values_are_written_as_prometheus_reads_them() {
        let mut page = Page::default();
        page.flag(&READY, &[], true);
        page.set(&ACCOUNTS_DUE, &["a\"b\\c\nd"], 7);
        page.set(&MONEY, &["period", "USD"], i64::MAX);
        let histogram = Histogram::short();
        histogram.observe("", Duration::from_micros(1_500));
        page.observed(&COMMIT_SECONDS, &[], &histogram.read()[""]);
        let text = page.text();
        for line in [
            "# TYPE bursar_ready gauge\nbursar_ready 1\n",
            "\nbursar_accounts_due{kind=\"a\\\"b\\\\c\\nd\"} 7\n",
            "\nbursar_money_moved_micros_total{kind=\"period\",currency=\"USD\"} 9223372036854775807\n",
            "\nbursar_commit_duration_seconds_bucket{le=\"0.001\"} 0\n",
            "\nbursar_commit_duration_seconds_bucket{le=\"0.002\"} 1\n",
            "\nbursar_commit_duration_seconds_bucket{le=\"10\"} 1\n",
            "\nbursar_commit_duration_seconds_bucket{le=\"+Inf\"} 1\n",
            "\nbursar_commit_duration_seconds_sum 0.001500\n",
            "\nbursar_commit_duration_seconds_count 1\n",
        ] {
            assert!(text.contains(line), "no {line} in\n{text}");
        }
        assert_eq!(text.matches("# TYPE ").count(), FAMILIES.len());
    }
}
