//! What the documents say to type works, and where they point there is something.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::program::{Ended, repository};
use crate::support::servers::Server;

/// The README's two commands: the demo has a test of its own, and the other one is running this.
const NOT_HERE: [&str; 2] = ["cargo run -- demo", "cargo test --workspace --locked"];

/// Stands in for cargo, which has built the program already.
const CARGO: &str = r#"#!/bin/sh
[ "$1" = run ] || { echo "not in a test: cargo $*" >&2; exit 1; }
while [ "$1" != -- ]; do shift; done
shift
exec bursar "$@"
"#;

/// All Markdown of the repository.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![repository()];
    while let Some(folder) = folders.pop() {
        for file in fs::read_dir(&folder).expect("a folder").map(|file| file.expect("a file").path()) {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if file.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(file);
            } else if name.ends_with(".md") {
                found.push(file);
            }
        }
    }
    found.sort();
    assert!(found.contains(&repository().join("README.md")), "{found:?}");
    found
}

/// The commands in a document's blocks of shell.
fn commands(document: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let (mut in_shell, mut goes_on) = (false, false);
    // Blocks of another kind, like `sh month`, are for another test.
    for line in document.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(language) => in_shell = !in_shell && ["sh", "bash", "shell", "console"].contains(&language.trim()),
            None if !in_shell || line.trim().is_empty() || line.trim_start().starts_with('#') => {}
            None => {
                let (line, more) = line.trim().strip_suffix('\\').map_or((line.trim(), false), |line| (line, true));
                match commands.last_mut().filter(|_| goes_on) {
                    Some(last) => last.push_str(line),
                    None => commands.push(line.to_owned()),
                }
                goes_on = more;
            }
        }
    }
    commands
}

/// A folder that looks like a fresh clone to the program, and a `bin` with the program and no cargo.
fn clone() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let (home, bin) = (folder.path().join("bursar"), folder.path().join("bin"));
    for path in ["config", "tests/scenarios"] {
        copy(&repository().join(path), &home.join(path));
    }
    fs::create_dir(&bin).expect("a folder");
    fs::write(bin.join("cargo"), CARGO).expect("written");
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).expect("executable");
    symlink(env!("CARGO_BIN_EXE_bursar"), bin.join("bursar")).expect("a link");
    (folder, home)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for file in fs::read_dir(from).expect("a folder").map(|file| file.expect("a file").path()) {
        let to = to.join(file.file_name().expect("a name"));
        match file.is_dir() {
            true => copy(&file, &to),
            false => drop(fs::copy(&file, to).expect("copied")),
        }
    }
}

/// Ends the daemons that a document's commands left behind: each has its process in the lock beside its books.
struct Daemons<'a>(&'a Path);

impl Drop for Daemons<'_> {
    fn drop(&mut self) {
        let files = fs::read_dir(self.0).into_iter().flatten().filter_map(Result::ok).map(|file| file.path());
        let says_who = |file: &PathBuf| file.extension().is_some_and(|kind| kind == "lock" || kind == "pid");
        for lock in files.filter(says_who) {
            let kill = format!("kill $(cat {})", lock.display());
            // It may have ended by itself.
            let _ = Command::new("sh").args(["-c", &kill]).status();
        }
    }
}

#[test]
fn every_command_of_the_documents_works() {
    let path = std::env::var("PATH").expect("a path");
    let mut not_here = NOT_HERE.to_vec();
    let mut ran = 0;
    for document in documents() {
        let (folder, home) = clone();
        let _daemons = Daemons(&home);
        let path = format!("{}:{path}", folder.path().join("bin").display());
        let text = fs::read_to_string(&document).expect("a text");
        // As an admin's machine says where the server is.
        let server = commands(&text).iter().any(|command| command.contains("postgres://")).then(Server::postgres);
        let port = server.as_ref().map_or(0, |server| server.port).to_string();
        for command in commands(&text) {
            if let Some(index) = not_here.iter().position(|skipped| *skipped == command) {
                not_here.remove(index);
                continue;
            }
            let mut shell = Command::new("sh");
            shell.args(["-e", "-c", &command]).current_dir(&home).env("PATH", &path).stdin(Stdio::null());
            shell.env("PGHOST", "127.0.0.1").env("PGUSER", "bursar").env("PGPORT", &port);
            let Ended { status, out, err } = shell.output().expect("sh").into();
            assert_eq!(status, Some(0), "{}: {command}\n{out}{err}", document.display());
            ran += 1;
        }
    }
    assert!(not_here.is_empty(), "no document says {not_here:?}");
    assert!(ran >= 7, "only {ran} commands");
}

#[test]
fn disturbing_prints_the_same_as_the_readme_promises() {
    let readme = fs::read_to_string(repository().join("README.md")).expect("the README");
    let commands = commands(&readme);
    let disturbed = commands.iter().find(|command| command.contains("--disturb")).expect("a disturbed rehearsal");
    let plain = disturbed.split(" --disturb").next().expect("a command");
    assert!(commands.iter().any(|command| command == plain), "README shows no `{plain}` to compare with");
}

#[test]
fn ci_runs_the_readmes_test_command() {
    let script = fs::read_to_string(repository().join(".ci/run")).expect(".ci/run");
    assert!(script.lines().any(|line| line == NOT_HERE[1]), "{script}");
    let mode = fs::metadata(repository().join(".ci/run")).expect(".ci/run").permissions().mode();
    assert_eq!(mode & 0o111, 0o111, ".ci/run is not executable");
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut dead = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).expect("a text");
        let folder = document.parent().expect("a folder");
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { document.clone() } else { folder.join(file) };
            let there = target.exists() && (anchor.is_empty() || anchors(&target).iter().any(|known| known == anchor));
            if !there {
                dead.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

/// Where a document points to in the repository.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).map(str::to_owned).collect()
}

/// The names that a document's headings can be pointed to by.
fn anchors(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).expect("a text");
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| -> String {
        let kept = heading.trim_start_matches('#').trim().chars();
        let kept = kept.filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(slug).collect()
}

#[test]
fn commands_and_links_are_found() {
    let text = "see [a](b.md#c-d), [e](https://f) and [g](#h)\n```sh\n# a remark\none \\\n  two | three\n\nfour\n```\n```\nfive\n```\n";
    assert_eq!(commands(text), ["one two | three", "four"]);
    assert_eq!(links(text), ["b.md#c-d", "#h"]);
}
