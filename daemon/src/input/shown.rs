//! The configuration as its file would say it, with every key. Passwords are starred out.

use rules::{DocumentPolicy, Micros, Policy, TrialPolicy};
use serde_json::{Value, json};
use store::without_password;

use super::config::{Config, Log, LogFormat};

impl Config {
    /// Every key that holds, under its name in the file.
    pub fn shown(&self) -> Value {
        // All of them by name: a new key is shown, or this does not compile.
        let Self {
            database,
            database_password_file,
            queue,
            queue_password_file,
            listen,
            metrics_listen,
            trusted_proxies,
            log: Log { format, filter },
            policy,
            band,
            price_files,
        } = self;
        let format = match format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let mut shown = json!({
            "database": without_password(database),
            "listen": listen,
            "trusted_proxies": trusted_proxies,
            "log": { "format": format, "filter": filter },
            "billing": billing(policy),
            "documents": documents(&policy.documents),
            "hold": { "enabled": band.is_some() },
            "prices": { "files": price_files },
        });
        if let Some(address) = metrics_listen {
            shown["metrics_listen"] = json!(address);
        }
        if let Some(file) = database_password_file {
            shown["database_password_file"] = json!(file);
        }
        if let Some(url) = queue {
            shown["queue"] = json!({ "url": without_password(url) });
        }
        if let Some(file) = queue_password_file {
            shown["queue"]["password_file"] = json!(file);
        }
        if let Some(band) = band {
            shown["hold"]["growth_percent"] = json!(band.growth_percent);
            shown["hold"]["least_amount"] = json!(amount(band.least_amount));
            shown["hold"]["least_stops"] = json!(band.least_stops);
        }
        shown
    }
}

fn billing(policy: &Policy) -> Value {
    let Policy {
        currency,
        minimum_deposit,
        retention_days,
        grace_days,
        retry_days,
        outage_grace_hours,
        trial: TrialPolicy { days, server_worth, traffic_component, traffic_included },
        documents: _,
    } = policy;
    json!({
        "currency": currency,
        "minimum_deposit": amount(*minimum_deposit),
        "retention_days": retention_days,
        "grace_days": grace_days,
        "retry_days": retry_days,
        "outage_grace_hours": outage_grace_hours,
        "trial": {
            "days": days,
            "server_worth": amount(*server_worth),
            "traffic_component": traffic_component,
            "traffic_included": amount(*traffic_included),
        },
    })
}

fn documents(documents: &DocumentPolicy) -> Value {
    let DocumentPolicy { invoice_series, credit_note_series, digits } = documents;
    json!({ "invoice_series": invoice_series, "credit_note_series": credit_note_series, "digits": digits })
}

/// Without the zeros behind its last decimal.
fn amount(amount: Micros) -> String {
    amount.to_string().trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::document::Format;
    use super::*;

    fn parsed(text: &str) -> Config {
        Config::parse("bursar.toml", text, Format::Toml, Path::new("/etc/bursar")).expect(text)
    }

    #[test]
    fn what_is_shown_is_the_same_configuration() {
        for text in [
            "",
            "[hold]\nenabled = false",
            "listen = \"[::1]:1\"\nmetrics_listen = \"[::1]:2\"\n\
            [log]\nformat = \"json\"\nfilter = \"warn\"\n[queue]\nurl = \"redis://h\"\n\
            [billing]\ncurrency = \"CHF\"\nminimum_deposit = \"0.5\"\nretry_days = []\ntrial.days = 0\n\
            [documents]\ndigits = 3\n[hold]\nleast_stops = 7\n[prices]\nfiles = [\"a.toml\"]",
        ] {
            let config = parsed(text);
            let again = toml::to_string(&config.shown()).expect("TOML");
            assert_eq!(parsed(&again), config, "{again}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let text = "database = \"postgres://u:secret@h/d\"\n[queue]\nurl = \"redis://:secret@h\"";
        let shown = parsed(text).shown().to_string();
        assert!(shown.contains("postgres://u:***@h/d") && shown.contains("redis://:***@h"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
