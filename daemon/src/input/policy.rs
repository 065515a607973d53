//! The numbers a hoster may change: a scenario's `config`, the configuration's `[billing]`.

use rules::{DocumentPolicy, Policy, TrialPolicy};

use super::reader::Value;
use super::words;

/// Ten years: more than any grace or trial wants, and far from where times end.
const MOST_DAYS: u32 = 3650;
const MOST_RETENTION_DAYS: u32 = 27;
const MOST_OUTAGE_GRACE_HOURS: u32 = 240;

const KEYS: &[&str] =
    &["currency", "minimum_deposit", "retention_days", "grace_days", "retry_days", "outage_grace_hours", "trial"];
const MOST_DIGITS: u32 = 18;
const DOCUMENT_KEYS: &[&str] = &["invoice_series", "credit_note_series", "digits"];
const TRIAL_KEYS: &[&str] = &["days", "server_worth", "traffic_component", "traffic_included"];

pub fn read(value: &Value<'_>) -> Option<Policy> {
    let table = value.table("the billing policy is a table")?;
    table.only(KEYS);
    let default = Policy::default();
    let currency = table.or("currency", default.currency, words::currency);
    let minimum_deposit = table.or("minimum_deposit", default.minimum_deposit, words::amount);
    let retention_days = table.or("retention_days", default.retention_days, words::whole(0..=MOST_RETENTION_DAYS));
    let grace_days = table.or("grace_days", default.grace_days, words::whole(0..=MOST_DAYS));
    let retry_days = table.or("retry_days", default.retry_days, retry_days);
    let outage_grace_hours =
        table.or("outage_grace_hours", default.outage_grace_hours, words::whole(0..=MOST_OUTAGE_GRACE_HOURS));
    let trial = table.or("trial", default.trial, trial);
    Some(Policy {
        currency: currency?,
        minimum_deposit: minimum_deposit?,
        retention_days: retention_days?,
        grace_days: grace_days?,
        retry_days: retry_days?,
        outage_grace_hours: outage_grace_hours?,
        trial: trial?,
        documents: default.documents,
    })
}

/// The configuration's `[documents]`.
pub fn documents(value: &Value<'_>) -> Option<DocumentPolicy> {
    let table = value.table("documents is a table")?;
    table.only(DOCUMENT_KEYS);
    let default = DocumentPolicy::default();
    let invoice_series = table.or("invoice_series", default.invoice_series, words::name);
    let credit_note_series = table.or("credit_note_series", default.credit_note_series, words::name);
    let digits = table.or("digits", default.digits, words::whole(1..=MOST_DIGITS));
    let read =
        DocumentPolicy { invoice_series: invoice_series?, credit_note_series: credit_note_series?, digits: digits? };
    if read.invoice_series == read.credit_note_series {
        return value.fail("invoices and credit notes are numbered in series of their own: give them different names");
    }
    Some(read)
}

/// An empty list is allowed: a card is then tried once.
fn retry_days(value: &Value<'_>) -> Option<Vec<u32>> {
    let items = value.list("the days of the tries are a list of whole numbers like [1, 3, 5]")?;
    let mut days: Vec<u32> = Vec::new();
    for item in &items {
        let day = words::whole(1..=MOST_DAYS)(item)?;
        if days.last().is_some_and(|before| day <= *before) {
            return item.fail("the days rise, each after the one before it");
        }
        days.push(day);
    }
    Some(days)
}

fn trial(value: &Value<'_>) -> Option<TrialPolicy> {
    let table = value.table("the trial is a table")?;
    table.only(TRIAL_KEYS);
    let default = TrialPolicy::default();
    let days = table.or("days", default.days, words::whole(0..=MOST_DAYS));
    let server_worth = table.or("server_worth", default.server_worth, words::amount);
    let traffic_component = table.or("traffic_component", default.traffic_component, words::name);
    let traffic_included = table.or("traffic_included", default.traffic_included, words::quantity);
    Some(TrialPolicy {
        days: days?,
        server_worth: server_worth?,
        traffic_component: traffic_component?,
        traffic_included: traffic_included?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::document::{Format, parse};
    use super::super::reader::Report;
    use super::*;

    fn policy_of(text: &str) -> Result<Policy, Vec<String>> {
        let node = parse("f", text, Format::Toml).expect(text);
        let report = Report::new("f".to_owned());
        let policy = read(&Value::document(&node, &report));
        let problems: Vec<String> = report.into_problems().iter().map(ToString::to_string).collect();
        policy.filter(|_| problems.is_empty()).ok_or(problems)
    }

    #[test]
    fn what_is_left_out_has_the_rules_default() {
        assert_eq!(policy_of(""), Ok(Policy::default()));
        let policy = policy_of("retry_days = []\nretention_days = 27\n[trial]\ndays = 0").expect("a policy");
        assert!(policy.retry_days.is_empty());
        assert_eq!((policy.retention_days, policy.trial.days), (27, 0));
        assert_eq!(policy.trial.traffic_component, "traffic_gb");
    }

    #[test]
    fn each_number_has_its_range() {
        for (text, key) in [
            ("currency = \"dollars\"", "currency"),
            ("minimum_deposit = 10", "minimum_deposit"),
            ("minimum_deposit = \"-10\"", "minimum_deposit"),
            ("retention_days = 28", "retention_days"),
            ("retention_days = \"3\"", "retention_days"),
            ("grace_days = -1", "grace_days"),
            ("grace_days = 3651", "grace_days"),
            ("retry_days = 1", "retry_days"),
            ("retry_days = [0, 1]", "retry_days[0]"),
            ("retry_days = [1, 3, 3]", "retry_days[2]"),
            ("retry_days = [3, 1]", "retry_days[1]"),
            ("outage_grace_hours = 241", "outage_grace_hours"),
            ("outage_grace_hours = 1.5", "outage_grace_hours"),
            ("trial = false", "trial"),
            ("trial.days = -1", "trial.days"),
            ("trial.server_worth = \"much\"", "trial.server_worth"),
            ("trial.traffic_component = \"traffic gb\"", "trial.traffic_component"),
            ("trial.traffic_included = \"1000000\"", "trial.traffic_included"),
            ("trial.hours = 3", "trial.hours"),
            ("minimum = \"1\"", "minimum"),
        ] {
            let problems = policy_of(text).expect_err(text);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems.iter().all(|problem| problem.starts_with(&format!("f:1: {key}: "))), "{problems:?}");
        }
    }
}
