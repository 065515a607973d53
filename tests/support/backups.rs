//! Copies of the books, taken while a daemon is in the middle of a night: each is sound, has all that was known when it
//! was begun, and goes on to the books of a night that nobody disturbed.

use std::path::Path;

use crate::support::dice::Dice;
use crate::support::kills::{assert_same, finish};
use crate::support::night::{Evening, Night, Progress};
use crate::support::program::{Ended, json_on, run, run_on};
use crate::support::servers::Server;

const INSTANCES: u64 = 5;

/// Takes so many copies in nights of so many instances, each at another moment, from a file and from a server, one kind
/// after the other.
pub fn take_and_go_on(instances: u64, copies: u64) {
    let mut dice = Dice::of_today();
    let server = Server::postgres();
    while !all(instances, copies, &server, &mut dice) {
        eprintln!("a midnight came while this was running: once more");
    }
}

fn all(instances: u64, copies: u64, server: &Server, dice: &mut Dice) -> bool {
    let evening = Evening::new(instances / INSTANCES, INSTANCES, dice);
    let undisturbed = evening.night("undisturbed.db");
    finish(&undisturbed);
    let expected = undisturbed.books();
    let template = evening.on(server);
    let mut in_time = 0;
    for copy in 0..copies {
        for on_server in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let (night, target) = match on_server {
                false => {
                    let target = format!("sqlite:{}", folder.path().join("restored.db").display());
                    (evening.night(&format!("night-{copy}.db")), target)
                }
                true => (evening.night_on(&template), server.new_database()),
            };
            let how = format!("copy {copy} {}", if on_server { "of a server" } else { "of a file" });
            let (reached, restored) = one(&night, &target, folder.path(), dice.below(evening.accounts), &how);
            in_time += u64::from(reached < Progress::Done);
            finish(&restored);
            let books = restored.books();
            if evening.is_over() {
                return false;
            }
            evening.assert_charged(&restored, &how);
            assert_same(&books, &expected, &how);
            restored.assert_verified();
            night.remove();
            restored.remove();
        }
    }
    eprintln!("{in_time} of {} copies were taken in the middle of the night", 2 * copies);
    assert!(in_time * 2 > 2 * copies, "only {in_time} copies were taken in the middle");
    true
}

/// A copy taken when so many accounts were worked off, restored and gone on with; how far the night was known to be.
fn one(night: &Night, target: &str, folder: &Path, accounts: u64, how: &str) -> (Progress, Night) {
    let copy = folder.join("copy");
    let file = copy.to_str().expect("UTF-8");
    let daemon = night.serve();
    let reached = night.wait_for(Progress::At(accounts.max(1)));
    let Ended { status, err, .. } = run(&["backup", "--to", file, "--database-url", &night.url()]);
    assert_eq!((status, err.as_str()), (Some(0), ""), "{how}");
    daemon.kill();
    let Ended { status, out, err } = run(&["restore", "--from", file, "--to", target]);
    assert_eq!((status, err.as_str()), (Some(0), ""), "{how}: {out}");
    assert!(out.contains("\nThe books verify.\n"), "{how}: {out}");
    let restored = night.elsewhere(target);
    assert!(restored.progress() >= reached, "{how}: {:?} is less than {reached:?}", restored.progress());
    assert_eq!(json_on(target, "fence show")["fenced"], true);
    let lifted = run_on(target, "fence lift --reason test --original-is-stopped");
    assert_eq!(lifted.status, Some(0), "{how}: {}", lifted.err);
    (reached, restored)
}
