//! What the tests of the whole system share: the program, the daemon, the scenarios, the kills, the walks.

pub mod backups;
pub mod books;
pub mod canaries;
pub mod dice;
pub mod faults;
pub mod http;
pub mod kills;
pub mod machine;
pub mod night;
pub mod program;
pub mod prometheus;
pub mod proxy;
pub mod scenarios;
pub mod servers;
pub mod systemd;
pub mod walk;
