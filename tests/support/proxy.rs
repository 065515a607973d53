//! A wire between daemons and their server that breaks in the worst place: the server has committed, and its answer
//! never comes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// How often it is looked whether the wire is free again.
const THAW: Duration = Duration::from_millis(20);

pub struct Proxy {
    pub port: u16,
    /// So many answers to COMMIT are still to be lost.
    to_lose: Arc<AtomicU32>,
    /// Nothing comes through, and nobody is told.
    frozen: Arc<AtomicBool>,
}

impl Proxy {
    /// In front of a server on this machine.
    pub fn of(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let to_lose = Arc::new(AtomicU32::new(0));
        let frozen = Arc::<AtomicBool>::default();
        let (lose, freeze) = (to_lose.clone(), frozen.clone());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // While the server is down nobody is let through.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                join(&client, &server, &lose, &freeze);
            }
        });
        Self { port, to_lose, frozen }
    }

    /// Loses the answers to the next commits, with their connections.
    pub fn lose_answers(&self, count: u32) {
        self.to_lose.store(count, Ordering::SeqCst);
    }

    /// Holds back all that the server answers, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::SeqCst);
    }

    /// Whether all that were to be lost are lost.
    pub fn has_lost_them(&self) -> bool {
        self.to_lose.load(Ordering::SeqCst) == 0
    }
}

fn join(client: &TcpStream, server: &TcpStream, lose: &Arc<AtomicU32>, frozen: &Arc<AtomicBool>) {
    let ends = |stream: &TcpStream| stream.try_clone().expect("a second end");
    let lost = Arc::new(AtomicBool::new(false));
    let (asked, answers) = ((ends(client), ends(server)), (ends(server), ends(client)));
    let (losing, lose, frozen) = (lost.clone(), lose.clone(), frozen.clone());
    thread::spawn(move || {
        carry(asked, |bytes| {
            if bytes.windows(7).any(|text| text == b"COMMIT\0") {
                let one_less = |left: u32| left.checked_sub(1);
                let is_lost = lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
                losing.store(is_lost, Ordering::SeqCst);
            }
            true
        });
    });
    thread::spawn(move || {
        carry(answers, |_| {
            while frozen.load(Ordering::SeqCst) {
                thread::sleep(THAW);
            }
            !lost.load(Ordering::SeqCst)
        });
    });
}

/// Carries bytes until either end is closed, or `goes_on` says no.
fn carry((mut from, mut to): (TcpStream, TcpStream), mut goes_on: impl FnMut(&[u8]) -> bool) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if !goes_on(&bytes[..read]) || to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        // It may be closed already.
        let _ = stream.shutdown(Shutdown::Both);
    }
}
