//! What any database behind [`store::Store`] must do, tried on a real one in a directory of its own.

#[path = "conformance/books.rs"]
mod books;
#[path = "conformance/opening.rs"]
mod opening;
#[path = "conformance/round_trip.rs"]
mod round_trip;
