//! The unit files say what systemd understands, and leave the daemon little.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::program::{Daemon, Ended, repository};
use crate::support::systemd::{analyze, release, unit};

const RELOADS_BY_ITSELF: u32 = 253;

/// The unit files, with the program where it is.
fn installed(folder: &Path, names: &[&str]) -> Vec<PathBuf> {
    let copy = |name: &&str| {
        let text = fs::read_to_string(repository().join("systemd").join(name)).expect("a unit file");
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text.replace("/usr/bin/bursar", env!("CARGO_BIN_EXE_bursar"))).expect("written");
        path
    };
    names.iter().map(copy).collect()
}

/// What systemd has to say about them.
fn verified(units: &[PathBuf]) -> String {
    let units = units.iter().map(|unit| unit.to_str().expect("UTF-8"));
    let verified = analyze(&["verify"].into_iter().chain(units).collect::<Vec<_>>());
    format!("{}{}", verified.out, verified.err)
}

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    let folder = tempfile::tempdir().expect("a folder");
    let units =
        installed(folder.path(), &["bursar.service", "bursar.socket", "bursar-backup.service", "bursar-backup.timer"]);
    assert_eq!(verified(&units), "");
}

/// An older systemd does not know the type, and says so: it has read the file, and finds nothing else.
#[test]
fn the_newer_systemds_file_is_laid_over_the_unit() {
    let folder = tempfile::tempdir().expect("a folder");
    let units = installed(folder.path(), &["bursar.service", "bursar.service.d/notify-reload.conf"]);
    let told = verified(&units[..1]);
    if release() >= RELOADS_BY_ITSELF {
        assert_eq!(told, "");
    } else {
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains("notify-reload.conf:3: ") && told.contains("notify-reload"), "{told}");
    }
}

/// A copy of each day, by the daemon's own user, under a name that comes again after a week.
#[test]
fn the_backups_unit_takes_a_copy() {
    let folder = tempfile::tempdir().expect("a folder");
    let [command] = unit("bursar-backup.service", "ExecStart").try_into().expect("one command");
    let (_, command) = command.split_once("-c '").expect("a command of the shell");
    let command = command.trim_end_matches('\'').replace("$$", "$").replace("%%", "%");
    let command = command.replace("/usr/bin/bursar", env!("CARGO_BIN_EXE_bursar"));
    let command = command.replace("/etc/bursar/bursar.toml", "bursar.toml").replace("/var/lib/bursar/backups/", "");
    fs::write(folder.path().join("bursar.toml"), "database = \"sqlite:books.db\"\n").expect("written");
    let url = format!("sqlite:{}", folder.path().join("books.db").display());
    drop(Daemon::start(&["--database-url", &url]));
    let run = || Command::new("sh").args(["-c", &command]).current_dir(folder.path()).output().expect("sh");
    for _ in 0..2 {
        let Ended { status, out, err } = run().into();
        assert_eq!((status, err.as_str()), (Some(0), ""), "{out}");
        assert!(out.starts_with("bursar-"), "{out}");
    }
    assert_eq!(unit("bursar-backup.service", "User"), ["bursar"]);
    assert_eq!(unit("bursar.service", "StateDirectory"), ["bursar"]);
}

#[test]
fn the_daemon_is_left_little() {
    let path = repository().join("systemd/bursar.service");
    let path = path.to_str().expect("UTF-8");
    let judged = analyze(&["security", "--offline=true", "--no-pager", "--threshold=12", path]);
    assert_eq!(judged.status, Some(0), "{}{}", judged.out, judged.err);
    let level = judged.out.lines().find(|line| line.contains("Overall exposure level")).expect("a level");
    let level = level.split(": ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a number");
    let (whole, tenth) = level.split_once('.').expect("a decimal");
    assert!((whole, tenth) < ("1", "3"), "{level}");
}

/// What systemd cannot know: that the words of the unit are those of the program.
#[test]
fn the_unit_and_the_program_agree() {
    assert_eq!(unit("bursar.service", "Type"), ["notify"]);
    assert_eq!(unit("bursar.service", "ExecReload").last().map(String::as_str), Some("/bin/kill -HUP $MAINPID"));
    let never_again = unit("bursar.service", "RestartPreventExitStatus").join(" ");
    assert!(never_again.split(' ').any(|status| status == "78"), "{never_again}");
    let shipped = fs::read_to_string(repository().join("config/bursar.toml")).expect("the configuration");
    for credential in unit("bursar.service", "LoadCredential") {
        assert!(shipped.contains(&format!("/etc/credstore/{credential}\"")), "{credential}");
    }
    let listen = unit("bursar.socket", "ListenStream");
    assert!(shipped.contains(&format!("\nlisten = \"{}\"\n", listen.join(""))), "{listen:?}");
    // Prometheus asks from this machine, beside the socket that the unit is handed.
    assert!(shipped.contains("\n# metrics_listen = \"127.0.0.1:"), "{shipped}");
    // The folder of a dynamic user no command beside the daemon could reach.
    let made = fs::read_to_string(repository().join("systemd/bursar.sysusers.conf")).expect("the user");
    for unit_of_it in ["bursar.service", "bursar-backup.service"] {
        let user = unit(unit_of_it, "User").join(" ");
        assert!(made.contains(&format!("\nu {user} - ")) && unit(unit_of_it, "DynamicUser").is_empty(), "{user}");
    }
    let denied = unit("bursar.service", "IPAddressDeny").join(" ");
    assert!(!denied.split(' ').any(|network| ["any", "localhost"].contains(&network)), "{denied}");
    // The daemon's own end of a stop comes before systemd's.
    assert_eq!(unit("bursar.service", "TimeoutStopSec"), ["30"]);
}
