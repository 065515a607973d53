//! Who a customer is, each detail as it has to be.

use super::arguments::misleads;

const LONGEST: usize = 500;
const LONGEST_EMAIL: usize = 254;
const LONGEST_TAX_ID: usize = 64;

/// Who can have a saved card or account of a customer.
const PROVIDERS: [&str; 3] = ["stripe", "paypal", "btcpay"];

/// Why this is no such detail, by column; nothing if it is one.
pub fn refusal(column: &str, text: &str) -> Option<String> {
    let (longest, lines) = match column {
        "email" => (LONGEST_EMAIL, false),
        "tax_id" => (LONGEST_TAX_ID, false),
        "address" => (LONGEST, true),
        _ => (LONGEST, false),
    };
    let is_plain = !text.chars().any(|each| misleads(each) || (each.is_control() && !(lines && each == '\n')));
    if text.trim().is_empty() || text.chars().count() > longest || !is_plain {
        let on = if lines { "" } else { " on one line" };
        let free_of = "a control character or a mark that turns its direction";
        return Some(format!("it is text of 1 to {longest} characters{on}, none of them {free_of}"));
    }
    match column {
        "email" if !is_email(text) => Some("an e-mail address is like billing@example.org".to_owned()),
        "language" if !is_language(text) => Some("a language is a tag like de, en or pt-BR".to_owned()),
        "provider" if !PROVIDERS.contains(&text) => {
            Some(format!("a payment provider is one of {}", PROVIDERS.join(", ")))
        }
        _ => None,
    }
}

fn is_email(text: &str) -> bool {
    let parts = text.split_once('@').filter(|(_, host)| !host.contains('@'));
    parts.is_some_and(|(who, host)| !who.is_empty() && !host.is_empty()) && !text.contains(char::is_whitespace)
}

fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let is_tag = |part: &str, least: usize| (least..=8).contains(&part.len());
    let first = parts.next().is_some_and(|part| is_tag(part, 2) && part.bytes().all(|byte| byte.is_ascii_alphabetic()));
    first && parts.all(|part| is_tag(part, 1) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_detail_is_what_it_is_called() {
        for (column, text) in [
            ("email", "a.b+c@mail.example"),
            ("person", "Jürgen Müller-日本"),
            ("address", "Musterweg 1\n10115 Berlin"),
            ("language", "de"),
            ("language", "zh-Hans-CN"),
            ("provider", "paypal"),
        ] {
            assert_eq!(refusal(column, text), None, "{column} {text}");
        }
        for (column, text, told) in [
            ("email", "not an email", "like billing@example.org"),
            ("email", "a@", "like"),
            ("email", "@b", "like"),
            ("email", "a@b@c", "like"),
            ("email", "a b@c", "like"),
            ("person", "two\nlines", "on one line"),
            ("company", " ", "1 to 500"),
            ("tax_id", &"1".repeat(65), "1 to 64"),
            ("address", "bell\u{7}", "control character"),
            ("address", "one\u{2028}two", "control character"),
            ("person", "Ann \u{202e}nnA", "turns its direction"),
            ("language", "german, please", "a tag like de"),
            ("language", "d", "a tag like de"),
            ("provider", "cash", "stripe, paypal, btcpay"),
        ] {
            assert!(refusal(column, text).is_some_and(|why| why.contains(told)), "{column} {text}");
        }
    }
}
