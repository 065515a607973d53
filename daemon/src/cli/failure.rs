//! How a command ends that was not done: its exit status, and what it says on stderr. With `--format json` that is
//! one object, whose `code` stays the same whatever words the message finds:
//!
//! `{"error": {"code": "insufficient_funds", "message": "…", "field": null, "exit_status": 3}}`
//!
//! What is wrong in a file is told problem by problem, in `problems` beside those.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use jobs::JobError;
use serde_json::{Value, json};
use store::StoreError;

use crate::cli::books::{NotNow, Refused};
use crate::cli::out::{nobody_reads, tell};
use crate::cli::{BAD_INPUT, DONE, FAILED, NOBODY_READS, NOT_NOW, REFUSED};
use crate::input::{BadInput, Problem, Problems};

/// Whether the arguments ask for JSON, also those that are wrong otherwise.
pub fn wants_json(arguments: impl IntoIterator<Item = String>) -> bool {
    let arguments: Vec<String> = arguments.into_iter().collect();
    let pairs = arguments.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    pairs || arguments.iter().any(|argument| argument == "--format=json")
}

/// Says why it was not done.
pub fn end(error: &anyhow::Error, as_json: bool) -> ExitCode {
    if nobody_reads(error) {
        return ExitCode::from(NOBODY_READS);
    }
    let status = status(error);
    match error.downcast_ref::<Problems>() {
        Some(problems) if as_json => {
            let why = json!({
                "code": code(error),
                "message": problems.headline(),
                "field": problems.field(),
                "exit_status": status,
                "problems": problems.as_slice().iter().map(problem_json).collect::<Vec<_>>(),
            });
            tell(format_args!("{:#}", json!({ "error": why })));
        }
        Some(problems) => tell(problems),
        None => {
            let field = error.downcast_ref::<BadInput>().and_then(BadInput::field);
            say_why(status, code(error), &format!("{error:#}"), field, as_json);
        }
    }
    ExitCode::from(status)
}

/// Says what is wrong with the arguments, or shows the help that they ask for.
pub fn end_of_arguments(error: &clap::Error, as_json: bool) -> ExitCode {
    if !error.use_stderr() {
        return ExitCode::from(if error.print().is_ok() { DONE } else { NOBODY_READS });
    }
    if !as_json {
        // Where nobody listens there is nobody to tell.
        let _ = error.print();
        return ExitCode::from(BAD_INPUT);
    }
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let named = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(name)) => Some(name.as_str()),
        Some(ContextValue::Strings(names)) => names.first().map(String::as_str),
        _ => None,
    };
    let field = named.and_then(|name| name.split_whitespace().next());
    let field = field.map(|name| name.trim_start_matches('-').trim_matches(['<', '>', '[', ']', '.']));
    say_why(BAD_INPUT, "bad_input", message, field, as_json);
    ExitCode::from(BAD_INPUT)
}

fn problem_json(problem: &Problem) -> Value {
    let Problem { file, place, message } = problem;
    let field = Some(&place.key).filter(|key| !key.is_empty());
    json!({
        "file": file, "line": place.line, "column": place.column, "entry": place.entry, "field": field,
        "message": message,
    })
}

fn say_why(status: u8, code: &str, message: &str, field: Option<&str>, as_json: bool) {
    match as_json {
        false => tell(format_args!("bursar: {message}")),
        true => {
            let why = json!({ "code": code, "message": message, "field": field, "exit_status": status });
            tell(format_args!("{:#}", json!({ "error": why })));
        }
    }
}

fn status(error: &anyhow::Error) -> u8 {
    match error {
        error if error.is::<BadInput>() || error.is::<Problems>() || is_taken(error) => BAD_INPUT,
        error if error.is::<Refused>() => REFUSED,
        error if error.is::<NotNow>() || is_for_later(error) => NOT_NOW,
        _ => FAILED,
    }
}

pub fn code(error: &anyhow::Error) -> &'static str {
    if let Some(refused) = error.downcast_ref::<Refused>() {
        return refused.code;
    }
    match (error.downcast_ref::<JobError>(), store_error(error)) {
        (_, Some(StoreError::NameTaken { .. })) => "name_taken",
        (_, Some(StoreError::Busy)) => "busy",
        (_, Some(StoreError::NoAnswer)) => "no_answer",
        (_, Some(StoreError::DiskFull)) => "disk_full",
        (_, Some(StoreError::Fenced { .. })) => "fenced",
        (Some(JobError::Waits(_) | JobError::NotBegun(_)), _) => "awaits_card",
        (Some(JobError::Contended(_)), _) => "contended",
        (Some(JobError::Held { .. }), _) => "held",
        (Some(JobError::Paused { .. }), _) => "paused",
        (Some(JobError::Opening { .. }), _) => "opening",
        (Some(JobError::Clock(_)), _) => "clock_in_doubt",
        _ if error.is::<BadInput>() || error.is::<Problems>() => "bad_input",
        _ if error.is::<NotNow>() => "not_now",
        _ => "failed",
    }
}

pub fn store_error(error: &anyhow::Error) -> Option<&StoreError> {
    match error.downcast_ref::<JobError>() {
        Some(JobError::Store(error)) => Some(error),
        _ => error.downcast_ref::<StoreError>(),
    }
}

fn is_taken(error: &anyhow::Error) -> bool {
    matches!(store_error(error), Some(StoreError::NameTaken { .. }))
}

/// Whether the same can be done later.
fn is_for_later(error: &anyhow::Error) -> bool {
    use StoreError::{Busy, DiskFull, Fenced, NoAnswer};
    let waits = matches!(
        error.downcast_ref::<JobError>(),
        Some(
            JobError::Waits(_)
                | JobError::NotBegun(_)
                | JobError::Contended(_)
                | JobError::Held { .. }
                | JobError::Paused { .. }
                | JobError::Opening { .. }
                | JobError::Clock(_)
        )
    );
    waits || matches!(store_error(error), Some(Busy | NoAnswer | DiskFull | Fenced { .. }))
}

#[cfg(test)]
mod tests {
    use rules::Timestamp;

    use super::*;

    #[test]
    fn json_is_asked_for_wherever_it_stands() {
        let asks = |line: &str| wants_json(line.split_whitespace().map(str::to_owned));
        assert!(asks("bursar --format json accounts list") && asks("bursar accounts list --format=json"));
        assert!(!asks("bursar accounts list") && !asks("bursar accounts list --format table"));
    }

    #[test]
    fn a_field_is_what_stands_in_front() {
        for (text, field) in [
            ("--from 2027-01-01: it is late", Some("from")),
            ("--reason: it is empty", Some("reason")),
            ("account `eve`: there is no such account", Some("account")),
            ("run 7: there is no such run", Some("run")),
            ("prices.toml: it cannot be read", None),
            ("there is no list 9; see it", None),
        ] {
            assert_eq!(BadInput(text.to_owned()).field(), field, "{text}");
        }
    }

    #[test]
    fn each_end_has_its_code() {
        for (error, ended) in [
            (BadInput("x".to_owned()).into(), (BAD_INPUT, "bad_input")),
            (Refused { code: "still_in_use", why: String::new() }.into(), (REFUSED, "still_in_use")),
            (NotNow("x".to_owned()).into(), (NOT_NOW, "not_now")),
            (JobError::from(StoreError::Busy).into(), (NOT_NOW, "busy")),
            (StoreError::NoAnswer.into(), (NOT_NOW, "no_answer")),
            (StoreError::Fenced { taken_at: Timestamp::BEGINNING }.into(), (NOT_NOW, "fenced")),
            (JobError::Contended("ann".to_owned()).into(), (NOT_NOW, "contended")),
            (
                JobError::Opening { account: "ann".to_owned(), job: "bill_instances", slot: Timestamp::BEGINNING }
                    .into(),
                (NOT_NOW, "opening"),
            ),
            (StoreError::NameTaken { what: "account", name: "ann".to_owned() }.into(), (BAD_INPUT, "name_taken")),
            (anyhow::anyhow!("x"), (FAILED, "failed")),
        ] {
            let error: anyhow::Error = error;
            assert_eq!((status(&error), code(&error)), ended, "{error}");
        }
    }
}
