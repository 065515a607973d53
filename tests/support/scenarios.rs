//! Playing the scenarios of `tests/scenarios`, and comparing what comes out byte for byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bursar::input::Scenario;
use bursar::simulate::simulate;

use crate::support::program::repository;

const AT_ONCE: usize = 4;

/// Every scenario, by name.
pub fn all() -> Vec<PathBuf> {
    let folder = repository().join("tests/scenarios");
    let files = fs::read_dir(&folder).expect("the scenarios").map(|file| file.expect("a file").path());
    let mut scenarios: Vec<PathBuf> = files.filter(|path| expected(path).exists()).collect();
    scenarios.sort();
    assert!(scenarios.len() >= 11, "{scenarios:?}");
    scenarios
}

/// The file beside a scenario that says what comes out.
pub fn expected(scenario: &Path) -> PathBuf {
    scenario.with_extension("expected.json")
}

/// Plays every scenario undisturbed, then with each seed from 1 to `seeds`.
pub fn play_all(seeds: u64) {
    let scenarios = all();
    let (scenarios, next) = (&scenarios, AtomicUsize::new(0));
    let plays: Vec<(&PathBuf, Option<u64>)> = scenarios
        .iter()
        .flat_map(|scenario| (0..=seeds).map(move |seed| (scenario, (seed > 0).then_some(seed))))
        .collect();
    let wrong: Vec<String> = thread::scope(|scope| {
        let play_some = || {
            let mut wrong = Vec::new();
            while let Some((scenario, seed)) = plays.get(next.fetch_add(1, Ordering::SeqCst)) {
                wrong.extend(play(scenario, *seed).err().map(|why| format!("{} {seed:?}: {why}", scenario.display())));
            }
            wrong
        };
        let players: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(play_some)).collect();
        players.into_iter().flat_map(|player| player.join().expect("a player")).collect()
    });
    assert!(wrong.is_empty(), "{} of {} came out otherwise:\n{}", wrong.len(), plays.len(), wrong.join("\n"));
}

fn play(path: &Path, seed: Option<u64>) -> Result<(), String> {
    let scenario = Scenario::read(path).map_err(|problems| problems.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let played = runtime.block_on(simulate(&scenario, seed, None, |_| {}));
    let json = played.and_then(|outcome| outcome.to_json()).map_err(|error| format!("{error:#}"))?;
    same(&json, &fs::read_to_string(expected(path)).expect("what is expected"))
}

/// Whether two texts are the same, or the first line in which they differ.
pub fn same(found: &str, expected: &str) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let lines = found.lines().chain([""]).zip(expected.lines().chain([""]));
    let differing = lines.enumerate().find(|(_, (found, expected))| found != expected);
    Err(match differing {
        Some((index, (found, expected))) => format!("line {}: `{found}` where `{expected}` is expected", index + 1),
        None => "one of the texts is longer".to_owned(),
    })
}
