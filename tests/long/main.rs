//! What `system` does short, in full: `cargo test --test long`.

#[path = "../support/mod.rs"]
mod support;

#[test]
fn every_scenario_comes_out_plain_and_with_200_seeds() {
    support::scenarios::play_all(200);
}

#[test]
fn fifty_killed_nights_leave_the_books_of_an_undisturbed_one() {
    support::kills::compare(|evening, dice| support::kills::killed(50, evening, dice));
}
