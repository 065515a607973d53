//! `bursar backup`, `restore` and `fence`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::backups::take_and_go_on;
use crate::support::dice::Dice;
use crate::support::http::Api;
use crate::support::night::Evening;
use crate::support::program::{Daemon, Ended, bursar, get, json_on, repository, run, run_on, wait_until};
use crate::support::servers::{Server, copy_database, new_database, sql};

/// The full two hundred are in tests/long.
#[test]
fn a_copy_taken_in_the_middle_of_a_night_goes_on_to_the_same_books() {
    take_and_go_on(5_000, 5);
}

/// A file with a quarter's books in it.
fn quarter(folder: &Path) -> String {
    let url = format!("sqlite:{}", folder.join("books.db").display());
    let scenario = repository().join("tests/scenarios/quarter.json");
    let played = run(&["simulate", scenario.to_str().expect("UTF-8"), "--database-url", &url]);
    assert_eq!(played.status, Some(0), "{}", played.err);
    url
}

/// The same on a server.
fn quarter_on_a_server(folder: &Path) -> String {
    let (file, server) = (quarter(folder), new_database());
    let moved = run(&["migrate", "--from", &file, "--to", &server]);
    assert_eq!(moved.status, Some(0), "{}", moved.err);
    server
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn back_up(url: &str, to: &Path) -> Ended {
    run(&["backup", "--to", text(to), "--database-url", url])
}

fn restore(from: &Path, to: &str) -> Ended {
    run(&["restore", "--from", text(from), "--to", to])
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

fn on_both(check: impl Fn(&TempDir, String, String)) {
    let folder = tempfile::tempdir().expect("a folder");
    let restored = format!("sqlite:{}", folder.path().join("restored.db").display());
    check(&folder, quarter(folder.path()), restored);
    let folder = tempfile::tempdir().expect("a folder");
    check(&folder, quarter_on_a_server(folder.path()), new_database());
}

#[test]
fn a_copy_says_what_it_has_and_has_it() {
    on_both(|folder, url, restored| {
        let copy = folder.path().join("copy");
        let said: Value = json_on(&url, &format!("backup --to {}", text(&copy)));
        let accounts = json_on(&url, "accounts list")["accounts"].as_array().expect("accounts").len();
        assert_eq!(said["accounts"], accounts, "{said}");
        assert_eq!(said["bytes"], fs::metadata(&copy).expect("the copy").len(), "{said}");
        assert!(rules::Timestamp::parse(said["as_of"].as_str().expect("a time")).is_some(), "{said}");
        assert_eq!(copy.metadata().expect("the copy").permissions().mode() & 0o777, 0o600);
        let again = back_up(&url, &copy);
        assert_eq!(again.status, Some(2), "{again:?}");
        assert!(again.err.contains("it is there already"), "{}", again.err);
        let again = run(&["backup", "--replace", "--to", text(&copy), "--database-url", &url]);
        assert_eq!((again.status, again.err.as_str()), (Some(0), ""));
        assert!(again.out.contains(&format!("{accounts} accounts, settled up to ")), "{}", again.out);
        assert!(!names(folder.path()).iter().any(|name| name.contains(".part")), "{:?}", names(folder.path()));
        let back = restore(&copy, &restored);
        assert_eq!((back.status, back.err.as_str()), (Some(0), ""), "{}", back.out);
        for command in ["accounts list", "services list", "invoices list", "prices list", "runs list"] {
            assert_eq!(run_on(&restored, command).out, run_on(&url, command).out, "{command}");
        }
        // A copy of a copy stays one.
        let second = folder.path().join("second");
        assert_eq!(back_up(&restored, &second).status, Some(0));
        // What holds something is no target.
        let twice = restore(&copy, &restored);
        assert!(matches!(twice.status, Some(1 | 2)), "{twice:?}");
        assert!(twice.err.contains("there already") || twice.err.contains("holds something already"), "{}", twice.err);
    });
}

/// A host with a daemon, and a key that may do everything.
fn serve(url: &str) -> (Daemon, Api) {
    let prices = repository().join("config/prices/device-management.toml");
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("bursar.toml");
    fs::write(&config, format!("[prices]\nfiles = [{prices:?}]\n")).expect("written");
    let daemon = Daemon::start(&["--config", text(&config), "--database-url", url]);
    let api = Api { address: daemon.address, key: None, from: None };
    (daemon, api)
}

#[test]
fn a_copy_is_read_and_changes_nothing_until_its_fence_is_down() {
    for on_server in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let (url, restored) = match on_server {
            false => (
                format!("sqlite:{}", folder.path().join("books.db").display()),
                format!("sqlite:{}", folder.path().join("restored.db").display()),
            ),
            true => (new_database(), new_database()),
        };
        let (original, _) = serve(&url);
        wait_until("it is ready", || get(original.address, "/readyz").0 == 200);
        for command in ["accounts open ann", "accounts deposit ann 50.00 --reference bank-1"] {
            assert_eq!(run_on(&url, command).status, Some(0), "{command}");
        }
        let key = json_on(&url, "keys create panel --scope admin")["secret"].as_str().expect("a key").to_owned();
        let copy = folder.path().join("copy");
        assert_eq!(back_up(&url, &copy).status, Some(0));
        let back = restore(&copy, &restored);
        assert_eq!(back.status, Some(0), "{}{}", back.out, back.err);
        if !on_server {
            let moved = run(&["migrate", "--from", &restored, "--to", &new_database()]);
            assert!(moved.status == Some(4) && moved.err.contains("these books are a copy"), "{moved:?}");
        }
        // The original goes on.
        assert_eq!(run_on(&url, "accounts open eve").status, Some(0));

        let (daemon, api) = serve(&restored);
        let api = api.with(&key);
        assert_eq!(get(daemon.address, "/healthz").0, 200);
        let (status, body) = get(daemon.address, "/readyz");
        assert_eq!(status, 503, "{body}");
        let problems: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(problems["problems"].as_array().map(Vec::len), Some(1), "{body}");
        assert!(body.contains("these books are a copy"), "{body}");
        let found = api.get("/v1/accounts/ann");
        assert_eq!(found.status, 200, "{found:?}");
        for (path, body) in [
            ("/v1/accounts", r#"{"name": "mallory"}"#),
            ("/v1/accounts/ann/adjustments", r#"{"amount": "1.00", "reason": "x"}"#),
            ("/v1/accounts/ann/details", r#"{"email": "ann@example.org"}"#),
            ("/v1/jobs/bill_instances/pause", r#"{"reason": "x"}"#),
        ] {
            let refused = api.post_as(path, path.trim_start_matches("/v1/"), body);
            assert_eq!((refused.status, refused.code().as_str()), (503, "fenced"), "{path}: {refused:?}");
        }
        for command in ["accounts open mallory", "jobs pause --all --reason x", "jobs enqueue verify_books"] {
            let refused = run_on(&restored, &format!("{command} --format json"));
            assert_eq!(refused.status, Some(4), "{command}: {}", refused.err);
            let why: Value = serde_json::from_str(&refused.err).expect("JSON");
            assert_eq!(why["error"]["code"], "fenced", "{command}: {why}");
        }
        let doctor = run_on(&restored, "doctor");
        assert!(doctor.status == Some(1) && doctor.out.contains("bursar fence lift"), "{}", doctor.out);
        // Nothing ran, nobody was alive, nothing was written.
        for command in ["runs list", "accounts list"] {
            assert!(!run_on(&restored, command).out.contains("mallory"), "{command}");
        }
        assert_eq!(run_on(&restored, "verify").status, Some(0));

        let asked = run_on(&restored, "fence lift --reason gone");
        assert_eq!(asked.status, Some(3), "{}", asked.err);
        assert!(asked.err.contains("--original-is-stopped"), "{}", asked.err);
        assert_eq!(json_on(&restored, "fence show")["fenced"], true);
        assert_eq!(original.terminate().0, Some(0));
        let lifted = run_on(&restored, "fence lift --reason gone --original-is-stopped");
        assert_eq!(lifted.status, Some(0), "{}", lifted.err);
        wait_until("the copy goes on", || get(daemon.address, "/readyz").0 == 200);
        let opened = api.post_as("/v1/accounts", "later", r#"{"name": "bob"}"#);
        assert_eq!(opened.status, 201, "{opened:?}");
        let shown = json_on(&restored, "fence show");
        assert_eq!((&shown["fenced"], &shown["fences"][0]["lift_reason"]), (&false.into(), &"gone".into()));
        let again = run_on(&restored, "fence lift --reason gone --original-is-stopped");
        assert_eq!(again.status, Some(3), "{}", again.err);
        // Somebody did it, and it is known who.
        wait_until("it is in the log", || api.get("/v1/audit?limit=100").body.contains("fence lift"));
        // As it stood, whatever was asked of the original since.
        assert!(!run_on(&restored, "accounts list").out.contains("eve"));
        let (status, log) = daemon.terminate();
        assert_eq!(status, Some(0), "{log}");
        // A restart is a start like any other.
        let (daemon, _) = serve(&restored);
        wait_until("it is ready", || get(daemon.address, "/readyz").0 == 200);
        // And it can be made a copy again, also while it is served.
        assert_eq!(run_on(&restored, "fence raise --reason looking").status, Some(0));
        wait_until("it is no more ready", || get(daemon.address, "/readyz").0 == 503);
        assert_eq!(run_on(&restored, "accounts open mallory").status, Some(4));
        assert_eq!(run_on(&restored, "fence raise --reason looking").status, Some(3));
        assert_eq!(run_on(&restored, "fence lift --reason looked --original-is-stopped").status, Some(0));
        wait_until("it is ready again", || get(daemon.address, "/readyz").0 == 200);
        assert_eq!(daemon.terminate().0, Some(0));
    }
}

/// By other means than ours, a copy comes without its fence: the database that served it last was another one.
#[test]
fn books_that_another_database_served_last_are_a_copy() {
    let url = new_database();
    let (daemon, _) = serve(&url);
    wait_until("it is ready", || get(daemon.address, "/readyz").0 == 200);
    assert_eq!(daemon.terminate().0, Some(0));
    let copied = copy_database(&url);
    let (daemon, _) = serve(&copied);
    let (status, body) = get(daemon.address, "/readyz");
    assert!(status == 503 && body.contains("these books are a copy"), "{body}");
    assert_eq!(run_on(&copied, "accounts open ann").status, Some(4));
    assert_eq!(run_on(&copied, "fence lift --reason moved --original-is-stopped").status, Some(0));
    wait_until("it goes on", || get(daemon.address, "/readyz").0 == 200);
    assert_eq!(daemon.terminate().0, Some(0));
    for same in [&copied, &url] {
        let (daemon, _) = serve(same);
        wait_until("it is ready", || get(daemon.address, "/readyz").0 == 200);
        assert_eq!(daemon.terminate().0, Some(0));
    }
}

/// A plain copy of the copy is one as well, and so is a dump that pg_restore alone brings back.
#[test]
fn a_copy_that_is_just_put_in_place_has_its_fence() {
    let folder = tempfile::tempdir().expect("a folder");
    let (copy, put) = (folder.path().join("copy.db"), folder.path().join("put.db"));
    assert_eq!(back_up(&quarter(folder.path()), &copy).status, Some(0));
    fs::copy(&copy, &put).expect("copied");
    let refused = run_on(&format!("sqlite:{}", put.display()), "jobs pause --all --reason x");
    assert_eq!(refused.status, Some(4), "{}", refused.err);

    let (url, dump, by_hand) = (new_database(), folder.path().join("copy.dump"), new_database());
    let (daemon, _) = serve(&url);
    wait_until("it is ready", || get(daemon.address, "/readyz").0 == 200);
    assert_eq!(back_up(&url, &dump).status, Some(0));
    let restored = Command::new("pg_restore").args(["--dbname", &by_hand, text(&dump)]).output().expect("pg_restore");
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let (copy, _) = serve(&by_hand);
    let (status, body) = get(copy.address, "/readyz");
    assert!(status == 503 && body.contains("these books are a copy"), "{body}");
}

#[test]
fn what_cannot_be_copied_or_restored_is_said_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let (url, server) = (quarter(folder.path()), new_database());
    let copy = at("copy.db");
    assert_eq!(back_up(&url, &copy).status, Some(0));
    fs::write(at("text"), "no database\n").expect("written");
    let whole = fs::read(&copy).expect("the copy");
    fs::write(at("half.db"), &whole[..whole.len() / 2]).expect("written");
    fs::write(at("logged.db"), &whole).expect("written");
    fs::write(at("logged.db-wal"), "more").expect("written");
    let before = names(folder.path());
    let new = format!("sqlite:{}", at("new.db").display());
    for (arguments, status, why) in [
        (vec!["backup", "--to", "/nowhere/copy.db", "--database-url", &url], 2, "there is no folder /nowhere"),
        (vec!["backup", "--to", text(folder.path()), "--replace", "--database-url", &url], 2, "that is no file"),
        (vec!["backup", "--to", "/proc/copy.db", "--database-url", &url], 1, "cannot write /proc/copy.db.part"),
        (vec!["backup", "--to", text(&at("books.db")), "--replace", "--database-url", &url], 2, "the books' own"),
        (vec!["backup", "--to", text(&at("x")), "--database-url", "sqlite:/nowhere/b.db"], 1, "does not exist"),
        (vec!["restore", "--from", text(&at("gone")), "--to", &new], 2, "--from"),
        (vec!["restore", "--from", text(folder.path()), "--to", &new], 2, "that is no file"),
        (vec!["restore", "--from", text(&at("text")), "--to", &new], 2, "neither an SQLite file nor a dump"),
        (vec!["restore", "--from", text(&at("half.db")), "--to", &new], 1, "is no sound copy"),
        (vec!["restore", "--from", text(&at("logged.db")), "--to", &new], 2, "has what is not in the file"),
        (vec!["restore", "--from", text(&copy), "--to", &url], 2, "it is there already"),
        (vec!["restore", "--from", text(&copy), "--to", &server], 2, "bursar migrate"),
        (vec!["restore", "--from", text(&copy), "--to", "postgres://u:hunter2@h/d"], 2, "leave the password out"),
    ] {
        let refused = run(&arguments);
        assert_eq!(refused.status, Some(status), "{arguments:?}: {}{}", refused.out, refused.err);
        assert!(refused.err.contains(why), "{arguments:?}: {}", refused.err);
        assert!(!refused.err.contains("hunter2") && refused.err.lines().count() == 1, "{}", refused.err);
        assert_eq!(names(folder.path()), before, "{arguments:?}");
    }
}

/// A dump comes back whole or not at all.
#[test]
fn a_dump_that_cannot_come_back_leaves_the_database_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let url = quarter_on_a_server(folder.path());
    let dump = at("copy.dump");
    assert_eq!(back_up(&url, &dump).status, Some(0));
    let whole = fs::read(&dump).expect("the dump");
    fs::write(at("half.dump"), &whole[..whole.len() / 2]).expect("written");
    sql(&url, "insert into bursar_migrations (version, name, applied_at) values (9999, 'later', 0)");
    let newer = at("newer.dump");
    let dumped = Command::new("pg_dump").args(["-Fc", "-f", text(&newer), &url]).status().expect("pg_dump");
    assert!(dumped.success());
    let (foreign, other) = (at("foreign.dump"), new_database());
    sql(&other, "create table t (a int)");
    assert!(Command::new("pg_dump").args(["-Fc", "-f", text(&foreign), &other]).status().expect("pg_dump").success());
    let empty = new_database();
    for (from, to, why) in [
        (&at("half.dump"), &empty, "is no sound copy"),
        (&newer, &empty, "newer schema"),
        (&foreign, &empty, "none of Bursar's tables"),
        (&dump, &other, "holds something already"),
        (&dump, &"postgres://bursar@127.0.0.1:1/books".to_owned(), "cannot be reached"),
    ] {
        let refused = restore(from, to);
        assert_eq!(refused.status, Some(1), "{from:?}: {}{}", refused.out, refused.err);
        assert!(refused.err.contains(why) && refused.err.lines().count() == 1, "{from:?}: {}", refused.err);
    }
    let file = format!("sqlite:{}", at("new.db").display());
    let refused = restore(&dump, &file);
    assert!(refused.status == Some(2) && refused.err.contains("a dump of PostgreSQL"), "{}", refused.err);
    assert_eq!(sql(&empty, "select count(*) from pg_tables where schemaname = 'public'"), "0");
    let restored = restore(&dump, &empty);
    assert_eq!(restored.status, Some(0), "{}", restored.err);
}

#[test]
fn without_postgres_own_programs_it_says_what_to_install() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = new_database();
    let (daemon, _) = serve(&url);
    wait_until("it is ready", || get(daemon.address, "/readyz").0 == 200);
    let copy = folder.path().join("copy.dump");
    let old = folder.path().join("pg_dump");
    let back_up = || -> Ended {
        let mut command = bursar(&["backup", "--to", text(&copy), "--database-url", &url]);
        command.env("PATH", folder.path()).output().expect("the program starts").into()
    };
    let missing = back_up();
    assert_eq!(missing.status, Some(1), "{}", missing.err);
    assert!(missing.err.contains("apt-get install postgresql-client"), "{}", missing.err);
    fs::write(&old, "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n").expect("written");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).expect("executable");
    let too_old = back_up();
    assert!(too_old.err.contains("pg_dump here is of PostgreSQL 9, the books need that of"), "{}", too_old.err);
    assert_eq!(names(folder.path()), ["pg_dump"]);
}

/// A server that asks for a password is dumped and restored with it, and it stands in no argument.
#[test]
fn a_password_goes_by_the_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = new_database();
    sql(&url, "create role teller login password 'it''s %40 & secret' createdb");
    let (server, name) = url.rsplit_once('/').expect("a database");
    sql(&url, &format!("alter database {name} owner to teller; alter schema public owner to teller"));
    let url = format!("{}/{name}", server.replace("bursar@", "teller@"));
    let spied = folder.path().join("spied");
    let real = String::from_utf8(Command::new("sh").args(["-c", "command -v pg_dump"]).output().expect("sh").stdout);
    let real = real.expect("UTF-8");
    let spy = format!(
        "#!/bin/sh\necho \"$@\" >> {0}.arguments\necho \"$PGPASSWORD\" >> {0}.password\nexec {1} \"$@\"\n",
        spied.display(),
        real.trim()
    );
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).expect("a folder");
    fs::write(bin.join("pg_dump"), spy).expect("written");
    fs::set_permissions(bin.join("pg_dump"), fs::Permissions::from_mode(0o755)).expect("executable");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a path"));
    let (secret, config) = (folder.path().join("password"), folder.path().join("bursar.toml"));
    fs::write(&secret, "it's %40 & secret\n").expect("written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("its owner's");
    fs::write(&config, format!("database = {url:?}\ndatabase_password_file = {secret:?}\n")).expect("written");
    let daemon = Daemon::start(&["--config", text(&config)]);
    wait_until("it is ready", || get(daemon.address, "/readyz").0 == 200);
    let copy = folder.path().join("copy.dump");
    let mut command = bursar(&["backup", "--to", text(&copy), "--config", text(&config)]);
    let taken: Ended = command.env("PATH", path).output().expect("the program starts").into();
    assert_eq!((taken.status, taken.err.as_str()), (Some(0), ""));
    let said = |what: &str| fs::read_to_string(format!("{}.{what}", spied.display())).expect("it was asked");
    assert!(said("password").contains("it's %40 & secret\n"), "{}", said("password"));
    assert!(!said("arguments").contains("secret"), "{}", said("arguments"));
    // Whoever restores owns it, and needs to be nobody special.
    let target = new_database();
    let (_, name) = target.rsplit_once('/').expect("a database");
    sql(&target, &format!("alter database {name} owner to teller; alter schema public owner to teller"));
    let target = target.replace("bursar@", "teller@");
    let restored = restore(&copy, &target);
    assert_eq!(restored.status, Some(0), "{}{}", restored.out, restored.err);
}

/// So that the primary has nothing to do with it.
#[test]
fn a_standby_is_copied_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::postgres();
    let url = server.new_database();
    let (daemon, _) = serve(&url);
    wait_until("it is ready", || get(daemon.address, "/readyz").0 == 200);
    assert_eq!(run_on(&url, "accounts open ann").status, Some(0));
    assert_eq!(daemon.terminate().0, Some(0));
    server.command("standby");
    let copy = folder.path().join("copy.dump");
    let taken = back_up(&url, &copy);
    assert_eq!((taken.status, taken.err.as_str()), (Some(0), ""));
    let refused = restore(&copy, &url);
    assert!(refused.status == Some(1) && refused.err.contains("standby"), "{}", refused.err);
    assert_eq!(restore(&copy, &new_database()).status, Some(0));
}

/// Stops a backup as soon as it writes, and lets the daemon's side go on.
fn stopped_in_the_middle(url: &str, copy: &Path) -> Option<std::process::Child> {
    let mut taking = bursar(&["backup", "--to", text(copy), "--database-url", url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let part = copy.with_extension("part");
    loop {
        if part.metadata().is_ok_and(|part| part.len() > 0) {
            signal(&taking, "STOP");
            return match part.exists() {
                true => Some(taking),
                false => {
                    signal(&taking, "CONT");
                    taking.wait().expect("it ends");
                    None
                }
            };
        }
        if taking.try_wait().expect("it runs").is_some() {
            return None;
        }
        thread::sleep(Duration::from_micros(200));
    }
}

fn signal(child: &std::process::Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("sh").success());
}

#[test]
fn nobody_who_writes_waits_for_a_copy_and_a_killed_one_leaves_no_file() {
    let mut dice = Dice::of_today();
    let evening = Evening::new(3_000, 5, &mut dice);
    let night = evening.night("night.db");
    let daemon = night.serve();
    wait_until("it is ready", || get(daemon.address, "/readyz").0 == 200);
    let folder = tempfile::tempdir().expect("a folder");
    let mut met = 0;
    for number in 0..40 {
        let copy = folder.path().join(format!("copy-{number}"));
        let Some(mut taking) = stopped_in_the_middle(&night.url(), &copy) else { continue };
        let opened = run_on(&night.url(), &format!("accounts open beside-{number}"));
        assert_eq!(opened.status, Some(0), "{}", opened.err);
        assert!(!copy.exists());
        met += 1;
        match met % 3 {
            // By force: what is left is called a part.
            1 => {
                taking.kill().expect("killed");
                taking.wait().expect("it ends");
                assert_eq!(names(folder.path()).iter().filter(|name| name.ends_with("part")).count(), 1);
                assert!(!copy.exists());
                fs::remove_file(copy.with_extension("part")).expect("removed");
            }
            2 => {
                signal(&taking, "TERM");
                signal(&taking, "CONT");
                let status = taking.wait().expect("it ends");
                // It may have been at its end already.
                assert_eq!(status.success(), copy.exists(), "{status:?}");
                assert!(!copy.with_extension("part").exists());
            }
            _ => {
                signal(&taking, "CONT");
                assert!(taking.wait().expect("it ends").success());
                let target = format!("sqlite:{}.db", copy.display());
                let restored = restore(&copy, &target);
                assert_eq!(restored.status, Some(0), "{}", restored.err);
                let found = run_on(&target, &format!("accounts show beside-{number}"));
                assert_ne!(found.status, Some(0), "it came after the copy was begun");
                return;
            }
        }
    }
    panic!("only {met} copies were met in the middle");
}

/// On a disk of its own, too small for a copy.
#[test]
fn on_a_full_disk_no_half_copy_stays() {
    const ON_A_SMALL_DISK: &str = r#"
mount -t tmpfs -o size=64k none "$1"
"$0" backup --to "$1/copy" --database-url "$2" && exit 9
status=$?
ls -A "$1"
exit $status
"#;
    on_both(|folder, url, _| {
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).expect("a folder");
        let mut command = Command::new("unshare");
        let alone: &[&str] = if rustix::process::geteuid().is_root() { &["-m"] } else { &["-rm"] };
        command.args(alone).args(["sh", "-c", ON_A_SMALL_DISK, env!("CARGO_BIN_EXE_bursar"), text(&disk), &url]);
        let Ended { status, out, err } = command.stdin(Stdio::null()).output().expect("unshare").into();
        assert_eq!((status, out.as_str()), (Some(4), ""), "{err}");
        assert!(err.contains("the disk is full"), "{err}");
    });
}
