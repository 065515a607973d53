//! A disk that is full in the middle of a night.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::dice::Dice;
use crate::support::kills::{assert_same, finish};
use crate::support::night::Evening;
use crate::support::program::{Daemon, wait_until};

/// A disk of its own in memory, seen by the daemon alone; the books lie on it, and something else fills what is left
/// but for a little.
const ON_A_SMALL_DISK: &str = r#"
mount -t tmpfs -o size=16m none "$1"
cp "$2" "$1/books.db"
free=$(df --output=avail -k "$1" | tail -1)
head -c "$((free - 1200))K" /dev/zero > "$1/filler"
exec "$0" serve --listen 127.0.0.1:0 --database-url "sqlite:$1/books.db"
"#;

fn serve_on_a_small_disk(folder: &Path, books: &Path) -> Daemon {
    let mut command = Command::new("unshare");
    // Without root, a user of its own may mount as well.
    let alone: &[&str] = if rustix::process::geteuid().is_root() { &["-m"] } else { &["-rm"] };
    command.args(alone).args(["sh", "-e", "-c", ON_A_SMALL_DISK, env!("CARGO_BIN_EXE_bursar")]);
    command.args([folder, books]).stdin(Stdio::null()).env_remove("RUST_LOG");
    Daemon::of(command)
}

#[test]
fn a_full_disk_stops_the_night_whole_and_with_room_it_goes_on_by_itself() {
    let mut dice = Dice::of_today();
    let evening = Evening::new(600, 5, &mut dice);
    let undisturbed = evening.night("undisturbed.db");
    finish(&undisturbed);

    let (folder, copy) = (tempfile::tempdir().expect("a folder"), evening.night("full.db"));
    let daemon = serve_on_a_small_disk(folder.path(), copy.path());
    // The daemon's own view of its disk: a program outside cannot open a database through it, but copy files.
    let seen = |name: &str| {
        let inside = folder.path().join(name);
        PathBuf::from(format!("/proc/{}/root{}", daemon.id(), inside.display()))
    };
    wait_until("the disk is full", || daemon.log().contains("the disk is full"));
    let finished = |job: &str| daemon.log().contains(&format!("run finished job=\"{job}\""));
    assert!(!finished("bill_instances"), "{}", daemon.log());

    fs::remove_file(seen("filler")).expect("room is made");
    wait_until("the night is done", || finished("bill_instances") && finished("verify_books"));
    let night = evening.night("copied.db");
    for beside in ["", "-wal"] {
        let to = format!("{}{beside}", night.path().display());
        fs::copy(seen(&format!("books.db{beside}")), to).expect("copied");
    }
    assert_eq!(daemon.terminate().0, Some(0));
    night.assert_verified();
    assert_same(&night.books(), &undisturbed.books(), "a disk that was full");
}
