//! Imports that were cut off and cannot go on are given up, and are in nobody's way then.

use crate::support::program::{Daemon, run_on, wait_until};
use jobs::Clock;
use serde_json::Value;

use super::Books;

#[test]
fn one_that_cannot_go_on_is_given_up_and_is_in_the_way_of_nothing() {
    // Paid until tomorrow: on the first of a month the last midnight is the end of the month that is closed here.
    let books = Books { midnight: Clock::system().now().next_midnight(), ..Books::of_last_month() };
    let month = Clock::system().now().month_start();
    let last = month.plus_secs(-1).to_string()[..7].to_owned();
    let file = books.file("many.jsonl", &books.many(2, 1));
    books.begin(&file, month.plus_secs(-60));
    let daemon = Daemon::start(&["--database-url", &books.url]);
    wait_until("it is ready", || daemon.log().contains("ready"));
    let told = |command: &str| run_on(&books.url, command);
    let way_out = format!("or give it up: `bursar import {file} --give-up --database-url {} --reason TEXT`", books.url);
    let doctor = || told("doctor --format json").out;
    assert!(doctor().contains(&way_out) && doctor().contains("0 of 2 accounts of "), "{}", doctor());
    let close = || told(&format!("books close {last}"));
    wait_until("nothing else is in the way", || close().err.trim_end().lines().count() == 2);
    let in_the_way = close();
    assert_eq!(in_the_way.status, Some(4), "{in_the_way:?}");
    assert!(in_the_way.err.contains("1 import that was cut off: "), "{in_the_way:?}");
    assert!(in_the_way.err.trim_end().ends_with(&way_out), "{in_the_way:?}");
    let withdraw = || told("prices withdraw 1 --reason slip");
    assert!(withdraw().status == Some(3) && withdraw().err.contains(&way_out), "{:?}", withdraw());

    for (arguments, told) in [
        (&["many.jsonl", "--give-up"][..], "--reason"),
        (&["many.jsonl", "--reason", "lost"], "--give-up"),
        (&["many.jsonl", "--yes"], "--give-up"),
        (&["many.jsonl", "--give-up", "--reason", " "], "not empty"),
        (
            &["other.jsonl", "--give-up", "--reason", "lost"],
            "file `other.jsonl`: no import of it was begun; those that",
        ),
    ] {
        books.refuses(arguments, 2, &[told]);
    }
    // Nobody is there to be asked; what is given up is told all the same.
    let asked = books.import(&["many.jsonl", "--give-up", "--reason", "lost"]);
    assert!(asked.status == Some(2) && asked.err.contains("give --yes"), "{asked:?}");
    let stake = format!(", begun by test as of {}: 0 of its 2 accounts are in the books", month.plus_secs(-60));
    assert!(asked.out.contains(&file) && asked.out.contains(&stake), "{asked:?}");
    assert!(asked.out.contains("with the next numbers of series and the plans of its own"), "{asked:?}");
    assert!(doctor().contains(&way_out));
    let give_up = || -> Value {
        let reason = ["--reason", "its list is lost", "--yes", "--format", "json"];
        let done = books.import(&[&["many.jsonl", "--give-up"][..], &reason].concat());
        assert_eq!((done.status, done.err.as_str()), (Some(0), ""));
        serde_json::from_str(&done.out).expect("JSON")
    };
    let given_up = give_up();
    assert_eq!((&given_up["outcome"], &given_up["file"]), (&"given_up".into(), &file.as_str().into()));
    assert_eq!((&given_up["there"], &given_up["accounts"]), (&0.into(), &2.into()));
    assert_eq!(given_up["reason"], "its list is lost");
    assert!(given_up["given_up_by"].as_str().is_some_and(|by| by.starts_with("cli:")), "{given_up}");
    let again = give_up();
    assert_eq!((&again["outcome"], &again["given_up_at"]), (&"nothing_changes".into(), &given_up["given_up_at"]));
    books.refuses(&[&file], 3, &["import_given_up", "its list is lost", "0 of its 2 accounts", "stands on line 1: "]);

    assert!(!doctor().contains(&way_out), "{}", doctor());
    assert!(withdraw().err.contains("in use: ") && !withdraw().err.contains("give-up"), "{:?}", withdraw());
    let closed = close();
    assert_eq!(closed.status, Some(0), "{closed:?}");
    // What did not come comes in by a file of its own.
    let mut rest = books.many(2, 1);
    rest.push(String::new());
    let done = books.import(&[&books.file("rest.jsonl", &rest)]);
    assert_eq!((done.status, done.err.as_str()), (Some(0), ""));
    let finished = books.import(&["rest.jsonl", "--give-up", "--reason", "lost"]);
    assert!(finished.status == Some(3) && finished.err.contains("import_is_finished"), "{finished:?}");
    books.verified();
}
