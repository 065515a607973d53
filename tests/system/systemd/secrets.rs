//! A password that systemd hands in, or that root keeps: the server takes it, and nobody else sees it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::program::{Daemon, Ended, bursar, run, wait_until};
use crate::support::servers::{Server, sql};

const MARKED: &str = "marked secret/@:?";

fn written(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o400)).expect("its mode");
}

#[test]
fn a_servers_password_is_handed_in_and_never_shown() {
    let (server, folder) = (Server::postgres(), tempfile::tempdir().expect("a folder"));
    let url = server.new_database();
    // From here on the server lets nobody in without it.
    let (rules, role) = (sql(&url, "show hba_file"), format!("alter role bursar password '{MARKED}'"));
    sql(&url, &role);
    fs::write(rules, "host all all 127.0.0.1/32 scram-sha-256\n").expect("the server's rules");
    sql(&url, "select pg_reload_conf()");
    let config = folder.path().join("bursar.toml");
    let write = |more: &str| fs::write(&config, format!("database = \"{url}\"\n{more}")).expect("written");
    let place = ["--config", config.to_str().expect("UTF-8")];

    write("");
    wait_until("it is refused", || run(&[&["verify"][..], &place].concat()).err.contains("password"));
    assert_eq!(run(&[&["serve", "--listen", "127.0.0.1:0"][..], &place].concat()).status, Some(1));
    let credentials = folder.path().join("credentials");
    fs::create_dir(&credentials).expect("a folder");
    written(&credentials.join("bursar.database_password"), &format!("{MARKED}\n"));
    let mut serve = bursar(&[&["serve", "--listen", "127.0.0.1:0"][..], &place].concat());
    serve.env("CREDENTIALS_DIRECTORY", &credentials);
    let daemon = Daemon::of(serve);
    wait_until("it is ready", || daemon.log().contains("ready"));

    // Root's commands have the same password from its file.
    let file = folder.path().join("password");
    written(&file, MARKED);
    write("database_password_file = \"password\"\n");
    let said: Vec<Ended> = [&["verify"][..], &["doctor"], &["accounts", "list"]]
        .map(|command| run(&[command, &place].concat()))
        .into_iter()
        .chain([run(&["config", "show", place[1]]), run(&["config", "check", place[1]])])
        .collect();
    assert!(said.iter().all(|ended| ended.status.is_some_and(|status| status < 2)), "{said:?}");
    assert_eq!(said[0].status, Some(0), "{said:?}");
    let of_the_process = |what: &str| {
        String::from_utf8_lossy(&fs::read(format!("/proc/{}/{what}", daemon.id())).expect("it lives")).into_owned()
    };
    let mut seen = vec![of_the_process("cmdline"), of_the_process("environ"), daemon.log()];
    seen.extend(said.into_iter().flat_map(|ended| [ended.out, ended.err]));
    let leaks = |text: &&String| text.contains("marked");
    assert_eq!(seen.iter().find(leaks), None);
    let (status, log) = daemon.terminate();
    assert_eq!((status, log.contains("marked")), (Some(0), false), "{log}");
}
