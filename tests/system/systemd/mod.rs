//! The daemon under systemd: its unit, what it tells, the socket and the secrets it is handed, the walls
//! around it.

mod notify;
mod sandbox;
mod secrets;
mod socket;
mod unit;
