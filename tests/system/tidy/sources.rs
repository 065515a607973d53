//! The sources of all packages, and which of them are modules.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::{names, text};
use crate::support::program::repository;

const PACKAGES: [&str; 7] = ["rules", "store", "providers", "jobs", "daemon", "benches", "tests"];

pub struct Source {
    /// From the repository's root.
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn is_in(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }

    pub fn is_test(&self) -> bool {
        self.is_in("tests") || self.path.contains("/tests/") || self.path.contains("tests.rs")
    }

    /// With their numbers.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    pub fn at(&self, what: &str) -> String {
        format!("{}: {what}", self.path)
    }

    pub fn has_word(&self, words: &[&str]) -> bool {
        self.code().split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| words.contains(&word))
    }

    /// Without the lines that are comments.
    fn code(&self) -> String {
        self.text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
    }

    /// A statement in it, if there is one.
    pub fn sql(&self) -> Option<String> {
        const REACH: usize = 200;
        let words: Vec<String> = self.code().split_whitespace().map(str::to_lowercase).collect();
        let first = |word: &str| word.rsplit(|letter: char| !letter.is_alphanumeric()).next().map(str::to_owned);
        let is = |index: usize, word: &str| words.get(index).is_some_and(|found| found == word);
        for (index, word) in words.iter().enumerate() {
            let statement = match first(word).unwrap_or_default().as_str() {
                "insert" => is(index + 1, "into"),
                "delete" => is(index + 1, "from"),
                "create" | "drop" | "alter" => ["table", "index", "trigger"].iter().any(|what| is(index + 1, what)),
                "update" => is(index + 2, "set"),
                "select" => {
                    let reach = words[index..].iter().take(REACH).take_while(|word| !word.ends_with(';'));
                    reach.clone().any(|word| word == "from")
                }
                "pragma" => word.starts_with('"'),
                _ => false,
            };
            if statement {
                return Some(words[index..(index + 4).min(words.len())].join(" "));
            }
        }
        None
    }
}

pub fn all_sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for package in PACKAGES {
        walk(&repository().join(package), &mut paths);
    }
    let read = |path: PathBuf| Source { text: text(&path), path: from_root(&path) };
    let sources: Vec<Source> = paths.into_iter().map(read).collect();
    assert!(sources.len() > 100, "only {} sources", sources.len());
    sources
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    for name in names(folder) {
        let path = folder.join(&name);
        if path.is_dir() && name != "target" {
            walk(&path, paths);
        } else if name.ends_with(".rs") {
            paths.push(path);
        }
    }
}

/// `a/b/../c.rs` and an absolute path are both the same as `a/c.rs`.
fn from_root(path: &Path) -> String {
    let mut parts = Vec::new();
    for part in path.strip_prefix(repository()).unwrap_or(path).components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            other => parts.push(other.as_os_str().to_str().expect("UTF-8")),
        }
    }
    parts.join("/")
}

/// Every file that a target begins with, or that is declared as a module.
pub fn modules() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for package in PACKAGES {
        for root in roots(package) {
            follow(&root, true, &mut found);
        }
    }
    found
}

/// The first files of a package's targets.
fn roots(package: &str) -> Vec<PathBuf> {
    let folder = repository().join(package);
    let mut roots: Vec<PathBuf> = ["src/lib.rs", "src/main.rs", "build.rs"].map(|file| folder.join(file)).into();
    for targets in ["src/bin", "tests", "benches", "examples"].map(|targets| folder.join(targets)) {
        if targets.exists() {
            for target in names(&targets).into_iter().map(|name| targets.join(name)) {
                roots.push(if target.is_dir() { target.join("main.rs") } else { target });
            }
        }
    }
    let manifest = folder.join("Cargo.toml");
    let targets = if manifest.exists() { text(&manifest) } else { String::new() };
    roots.extend(targets.lines().filter_map(|line| quoted(line, "path = ")).map(|path| folder.join(path)));
    roots.retain(|path| path.extension().is_some_and(|extension| extension == "rs") && path.exists());
    roots
}

fn follow(file: &Path, is_root: bool, found: &mut BTreeSet<String>) {
    if !found.insert(from_root(file)) {
        return;
    }
    let folder = file.parent().expect("a folder");
    let beside = is_root || file.ends_with("mod.rs");
    let children = if beside { folder.to_owned() } else { file.with_extension("") };
    let text = text(file);
    let mut path = None;
    for line in text.lines().map(str::trim) {
        if let Some(given) = quoted(line, "#[path = ") {
            path = Some(folder.join(given));
        } else if let Some(name) = declared(line) {
            let guesses = [children.join(format!("{name}.rs")), children.join(name).join("mod.rs")];
            let module = path.take().or_else(|| guesses.into_iter().find(|guess| guess.exists()));
            follow(&module.unwrap_or_else(|| panic!("{}: mod {name}", file.display())), false, found);
        }
    }
}

/// The name in `mod name;`.
fn declared(line: &str) -> Option<&str> {
    let after_pub = line.strip_prefix("pub").map_or(line, |rest| rest.trim_start_matches("(crate)").trim_start());
    let name = after_pub.strip_prefix("mod ")?.strip_suffix(';')?;
    Some(name)
}

fn quoted<'a>(line: &'a str, before: &str) -> Option<&'a str> {
    line.strip_prefix(before)?.split('"').nth(1)
}
