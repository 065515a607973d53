//! The same suite, on a PostgreSQL of its own.

/// Which database the suite is tried on.
const ON_POSTGRES: bool = true;

#[path = "conformance/access.rs"]
mod access;
#[path = "conformance/books.rs"]
mod books;
#[path = "conformance/closing.rs"]
mod closing;
#[path = "conformance/constraints.rs"]
mod constraints;
#[path = "conformance/copies.rs"]
mod copies;
#[path = "conformance/details.rs"]
mod details;
#[path = "conformance/due.rs"]
mod due;
#[path = "conformance/imports.rs"]
mod imports;
#[path = "conformance/living.rs"]
mod living;
#[path = "conformance/numbers.rs"]
mod numbers;
#[path = "conformance/opening.rs"]
mod opening;
#[path = "conformance/payments.rs"]
mod payments;
#[path = "conformance/prices.rs"]
mod prices;
#[path = "conformance/queue.rs"]
mod queue;
#[path = "conformance/reading.rs"]
mod reading;
#[path = "conformance/refusals.rs"]
mod refusals;
#[path = "conformance/round_trip.rs"]
mod round_trip;
#[path = "conformance/running.rs"]
mod running;
#[path = "../../tests/support/servers.rs"]
mod servers;
#[path = "conformance/servers_ways.rs"]
mod servers_ways;
#[path = "conformance/verifying.rs"]
mod verifying;
