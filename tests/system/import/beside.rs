//! Several imports and a daemon on the same books.

use std::process::Stdio;

use crate::support::program::{Daemon, Ended, bursar, run, wait_until};

use super::{Books, moved, renamed};

#[test]
fn two_imports_and_a_daemon_work_side_by_side() {
    let books = Books::new();
    let daemon = Daemon::start(&["--database-url", &books.url]);
    wait_until("it is ready", || daemon.log().contains("ready"));
    let lines = moved(books.midnight);
    let moved = books.file("moved.jsonl", &lines);
    let many = books.file("many.jsonl", &books.many(300, 2));
    let start = |file: &str, more: &[&str]| {
        let arguments = [&["import", file, "--database-url", &books.url], more].concat();
        bursar(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    };
    let as_of = ["--as-of", &books.midnight.to_string()];
    let both = [start(&many, &[]), start(&moved, &as_of)];
    let both = both.map(|one| Ended::from(one.wait_with_output().expect("it ends")));
    for ended in &both {
        assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    }
    let told = ["accounts with something due by now: 300\n", "at once: `bursar jobs enqueue bill_instances`"];
    assert!(told.iter().all(|told| both[0].out.contains(told)), "{both:?}");
    books.verified();
    // The same file twice at once: whoever comes second says so, or finds it done.
    let lines: Vec<String> = renamed(&lines).iter().map(|line| line.replace("\"R", "\"S")).collect();
    let file = books.file("again.jsonl", &lines);
    let twice =
        [start(&file, &as_of), start(&file, &as_of)].map(|one| Ended::from(one.wait_with_output().expect("it ends")));
    assert!(twice.iter().any(|ended| ended.status == Some(0)), "{twice:?}");
    assert!(twice.iter().all(|ended| matches!(ended.status, Some(0 | 1 | 4))), "{twice:?}");
    assert!(books.import(&[&file]).out.contains("nothing changes"));

    // One customer's own plan is nobody else's to order.
    let refused = run(&["services", "create", "old", "mine", "--plan", "own", "--database-url", &books.url]);
    assert!(refused.status == Some(3) && refused.err.contains("not_found"), "{refused:?}");
    // The run of the midnight was done before they came.
    assert_eq!(run(&["jobs", "enqueue", "bill_instances", "--database-url", &books.url]).status, Some(0));
    wait_until("what was due at midnight is done", || daemon.log().contains("\"period\": 600"));
    let (status, log) = daemon.terminate();
    assert_eq!(status, Some(0), "{log}");
    books.verified();
}
