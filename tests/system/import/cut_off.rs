//! Imports that are cut off go on.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::support::program::bursar;

use super::Books;

#[test]
fn a_file_that_was_cut_off_goes_on_where_it_was() {
    let books = Books::new();
    let file = books.file("many.jsonl", &books.many(1_500, 2));
    for _ in 0..2 {
        let mut import = bursar(&["import", &file, "--database-url", &books.url]);
        let mut child = import.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        // Told before the first batch is written.
        assert!(lines.any(|line| line.contains("wallets come to")));
        child.kill().expect("it can be killed");
        child.wait().expect("it is gone");
        books.verified();
    }
    let done = books.import(&[&file]);
    assert_eq!((done.status, done.err.as_str()), (Some(0), ""));
    assert!(books.import(&[&file]).out.contains("nothing changes"));
    books.verified();
}

#[test]
fn an_import_that_was_cut_off_goes_on_as_of_its_own_second() {
    let books = Books::new();
    let path = books.file("many.jsonl", &books.many(2, 1));
    books.begin(&path, books.midnight);
    let other = books.midnight.plus_secs(60).to_string();
    books.refuses(&[&path, "--as-of", &other], 2, &[&other, &books.midnight.to_string()]);
    let done = books.import(&[&path, "--as-of", &books.midnight.to_string()]);
    assert!(done.status == Some(0) && done.out.contains("It goes on behind account 0 of 2."), "{done:?}");
    books.verified();
}
