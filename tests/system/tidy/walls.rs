//! The walls that the manifests hold up.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{none, text};
use crate::support::program::repository;

/// Crates that one package alone may use.
const BELONG: [(&str, &[&str]); 3] = [
    ("store", &["sqlx", "apalis-sqlite", "apalis-postgres", "apalis-redis"]),
    ("providers", &["reqwest", "lettre"]),
    ("daemon", &["axum"]),
];

/// The floors of the benchmarks speak to the database themselves, and answer requests.
const FLOORS: (&str, &[&str]) = ("benches", &["sqlx", "axum"]);

/// What a package must not know.
const STRANGERS: [(&str, &[&str]); 4] = [
    ("rules", &["tokio", "store", "providers", "jobs", "bursar"]),
    ("store", &["providers", "jobs", "bursar"]),
    ("providers", &["store", "jobs", "bursar"]),
    ("jobs", &["axum", "sqlx", "apalis", "bursar"]),
];

#[test]
fn the_manifests_hold_the_walls_up() {
    let members = manifest("Cargo.toml")["workspace"]["members"].as_array().expect("members").clone();
    let mut found = Vec::new();
    for package in members.iter().map(|member| member.as_str().expect("a folder")) {
        let uses = dependencies(&manifest(&format!("{package}/Cargo.toml")), &mut found, package);
        for (owner, crates) in BELONG.iter().filter(|(owner, _)| *owner != package) {
            let taken = crates.iter().filter(|name| uses.contains(**name) && !is_floor(package, name));
            found.extend(taken.map(|name| format!("{package} uses {name}, which is {owner}'s")));
        }
        let strangers = STRANGERS.iter().filter(|(of, _)| *of == package).flat_map(|(_, strangers)| *strangers);
        found.extend(
            strangers.filter(|name| uses.contains(**name)).map(|name| format!("{package} must not know {name}")),
        );
    }
    none("the walls of the house", &found);
}

#[test]
fn each_dependency_has_one_version_and_its_own_name() {
    let workspace = manifest("Cargo.toml");
    let dependencies = workspace["workspace"]["dependencies"].as_table().expect("a table");
    let renamed: Vec<String> =
        dependencies.iter().filter(|(_, value)| value.get("package").is_some()).map(|(name, _)| name.clone()).collect();
    none("a crate goes by its own name", &renamed);
}

fn is_floor(package: &str, name: &str) -> bool {
    package == FLOORS.0 && FLOORS.1.contains(&name)
}

/// All that a package depends on, in whatever way.
fn dependencies(manifest: &Table, found: &mut Vec<String>, package: &str) -> BTreeSet<String> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    let mut names = BTreeSet::new();
    for table in tables {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, value) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
                names.insert(name.clone());
                if value.get("workspace").and_then(Value::as_bool) != Some(true) {
                    found.push(format!("{package}: the version of {name} belongs into the workspace's manifest"));
                }
            }
        }
    }
    names
}

fn manifest(path: &str) -> Table {
    text(&repository().join(path)).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}
