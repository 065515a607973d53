//! One file a job, with its header, under one name, in the list.

use super::{names, none, text};
use crate::support::program::repository;

#[test]
fn each_job_has_its_header_its_name_and_its_place_in_the_list() {
    let folder = repository().join("jobs/src");
    let list = text(&folder.join("lib.rs"));
    let mut found = Vec::new();
    let mut files: Vec<String> = Vec::new();
    for name in names(&folder).iter().filter_map(|file| file.strip_suffix(".rs")) {
        let job = text(&folder.join(format!("{name}.rs")));
        if !job.contains("impl Job for") {
            continue;
        }
        files.push(name.to_owned());
        let header: Vec<&str> = job.lines().take_while(|line| line.starts_with("//!")).collect();
        for label in ["Wakes", "Due", "Work", "Twice"] {
            if !header.iter().any(|line| line.starts_with(&format!("//! {label} "))) {
                found.push(format!("{name}.rs: its header does not say `{label}`"));
            }
        }
        let title = camel(name);
        for wanted in [
            format!("const NAME: &'static str = \"{name}\";"),
            format!("pub struct {title};"),
            format!("impl Job for {title} {{"),
        ] {
            if !job.contains(&wanted) {
                found.push(format!("{name}.rs lacks `{wanted}`"));
            }
        }
        if !list.contains(&format!("job::register::<{name}::{title}>(),")) {
            found.push(format!("{name} is not in JOBS"));
        }
    }
    none("jobs out of order", &found);
    let mut listed: Vec<&str> = jobs::JOBS.iter().map(|job| job.name).collect();
    listed.sort_unstable();
    assert_eq!(listed, files, "JOBS and the files");
}

fn camel(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_').map(word).collect()
}
