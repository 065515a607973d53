//! `bursar config`: what is wrong with a configuration, and what holds by it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rules::Timestamp;
use serde_json::Value;

use crate::support::program::{Ended, bursar, repository, run};

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_good_configuration_tells_when_each_job_runs_next() {
    let shipped = repository().join("config/bursar.toml");
    let shipped = shipped.to_str().expect("UTF-8");
    let text = run(&["config", "check", shipped]);
    assert_eq!((text.status, text.err.as_str()), (Some(0), ""));
    assert!(text.out.starts_with(&format!("{shipped}: fine; 0 price lists\n")), "{}", text.out);

    let checked = run(&["config", "check", shipped, "--format", "json"]);
    let checked: Value = serde_json::from_str(&checked.out).expect("JSON");
    let time = |value: &Value| Timestamp::parse(value.as_str().expect("a text")).expect("a time");
    let as_of = time(&checked["as_of"]);
    let jobs = checked["jobs"].as_array().expect("jobs");
    assert_eq!(jobs.len(), jobs::JOBS.len());
    for job in jobs {
        let next: Vec<Timestamp> = job["next"].as_array().expect("times").iter().map(time).collect();
        assert_eq!(next.len(), 5, "{job}");
        assert!(as_of < next[0] && next.is_sorted(), "{job}");
        let name = job["job"].as_str().expect("a name");
        assert_eq!(jobs::next_slot(jobs::job(name).expect("a job"), as_of), Some(next[0]));
        assert!(text.out.contains(name), "{}", text.out);
    }
}

#[test]
fn what_is_wrong_with_the_file_and_its_price_lists_is_told_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let prices = written(folder.path(), "prices.toml", "[[plans]]\nid = \"a\"\nmode = \"daily\"\nprice = 1\n");
    let text = "listen = \"here\"\n[prices]\nfiles = [\"prices.toml\", \"gone.toml\"]\n";
    let config = written(folder.path(), "bursar.toml", text);
    for (command, ends) in [(&["config", "check", &config][..], 2), (&["serve", "--config", &config], 78)] {
        let Ended { status, out, err } = run(command);
        assert_eq!((status, out.as_str()), (Some(ends), ""), "{err}");
        for told in [format!("{config}:1: listen: "), format!("{prices}:4: plans[0].price: "), "gone.toml: ".to_owned()]
        {
            assert!(err.contains(&told), "{err}\nnot: {told}");
        }
        assert!(err.ends_with("3 problems\n"), "{err}");
    }
    let Ended { status, err, .. } = run(&["config", "check", &config, "--format", "json"]);
    let told: Value = serde_json::from_str(&err).expect("JSON");
    let problems = told["error"]["problems"].as_array().expect("problems");
    assert_eq!((status, problems.len()), (Some(2), 3), "{err}");
    assert!(problems.iter().any(|problem| problem["line"] == 4 && problem["field"] == "plans[0].price"), "{err}");
}

#[test]
fn what_holds_is_shown_whole_and_its_passwords_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = "marked-secret";
    let file = written(folder.path(), "password", secret);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its mode");
    let text = format!(
        "database = \"postgres://u@127.0.0.1:1/d\"\ndatabase_password_file = \"password\"\n[queue]\n\
        url = \"redis://:{secret}@127.0.0.1:1\"\n[billing]\ngrace_days = 9\n"
    );
    let config = written(folder.path(), "bursar.toml", &text);
    let toml = run(&["config", "show", &config]);
    let json = run(&["config", "show", &config, "--format", "json"]);
    let from_toml: toml::Table = toml.out.parse().expect("TOML");
    let from_json: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(serde_json::to_value(&from_toml).expect("JSON"), from_json);
    assert_eq!((&from_json["billing"]["grace_days"], &from_json["billing"]["currency"]), (&9.into(), &"USD".into()));
    assert_eq!(from_json["database_password_file"], file.as_str());
    assert_eq!(from_json["queue"]["url"], "redis://:***@127.0.0.1:1");
    // Neither there nor where it fails to be reached.
    let failed = run(&["doctor", "--config", &config]);
    let served = run(&["serve", "--config", &config]);
    assert_eq!(served.status, Some(1), "{}", served.err);
    for Ended { out, err, .. } in [toml, json, failed, served] {
        assert!(!format!("{out}{err}").contains(secret), "{out}{err}");
    }
}

#[test]
fn a_credential_of_systemd_goes_before_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let handed_in = folder.path().join("credentials");
    fs::create_dir(&handed_in).expect("a folder");
    let text =
        "database = \"postgres://u@h/d\"\ndatabase_password_file = \"of-root-alone\"\n[queue]\nurl = \"redis://h\"\n";
    let config = written(folder.path(), "bursar.toml", text);
    let show = || -> Ended {
        let mut command = bursar(&["config", "show", &config]);
        command.env("CREDENTIALS_DIRECTORY", &handed_in).output().expect("it starts").into()
    };
    let without = show();
    assert_eq!(without.status, Some(2));
    assert!(
        without.err.contains(":2: database_password_file: ") && without.err.contains("of-root-alone"),
        "{without:?}"
    );
    for name in ["bursar.database_password", "bursar.queue_password"] {
        let path = written(&handed_in, name, "secret\n");
        fs::set_permissions(path, fs::Permissions::from_mode(0o400)).expect("its mode");
    }
    let Ended { status, out, err } = show();
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("password=***") && out.contains("redis://:***@h") && !out.contains("secret"), "{out}");
}
