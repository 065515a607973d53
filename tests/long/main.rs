//! What `system` does short, in full.

#[path = "../support/mod.rs"]
mod support;

#[test]
fn every_scenario_comes_out_plain_and_with_200_seeds() {
    support::scenarios::play_all(200);
}
