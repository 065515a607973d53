//! Clocks that jump, machines that sleep, daemons that die, while customers go on.

use crate::support::walk::walk_all;

#[test]
fn two_hundred_random_walks_leave_the_books_of_undisturbed_hosts() {
    walk_all(200);
}
