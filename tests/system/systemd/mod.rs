//! The daemon under systemd: its unit, what it tells, the socket it is handed, the walls around it.

mod notify;
mod sandbox;
mod socket;
mod unit;
