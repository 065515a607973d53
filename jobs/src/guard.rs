//! Whether the clock can be believed: a wall clock that moves otherwise than time passes has jumped.

use std::sync::{Mutex, PoisonError};

use rules::Timestamp;
use store::{ClockDoubt, Store};

use crate::clock::Clock;
use crate::error::JobError;

/// Set back by no more than this, or forward by no more than that, it was only put right.
const BACK_SECS: i64 = 300;
const AHEAD_SECS: i64 = rules::HOUR;

/// The clock is compared with how it was so long ago at least: being put right in small steps is no jump.
const COMPARED_SECS: i64 = 60;

/// A start after a longer silence asks first: a machine that boots with a wrong clock looks just so.
const SILENCE_MAX_SECS: i64 = 45 * rules::DAY;

/// What two clocks said at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    pub wall: Timestamp,
    pub since_boot: i64,
}

/// What the clock says, and what it should say by the time that passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the clock says {observed} and should say {expected}: nothing is settled until it is right; if it is right now, \
    say so with `bursar clock confirm`"
)]
pub struct Jump {
    pub observed: Timestamp,
    pub expected: Timestamp,
}

#[derive(Debug)]
pub struct Guard(Mutex<State>);

#[derive(Debug)]
struct State {
    last: Reading,
    doubt: Option<Doubt>,
}

#[derive(Clone, Copy, Debug)]
struct Doubt {
    jump: Jump,
    /// A start was doubted for being far from this, the last life's end: near it, it is over.
    start_after: Option<Timestamp>,
}

impl Guard {
    pub const fn new(now: Reading) -> Self {
        Self(Mutex::new(State { last: now, doubt: None }))
    }

    /// The wall clock's second, unless it jumped; once it is back it is believed again.
    pub fn judge(&self, now: Reading) -> Result<Timestamp, Jump> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Doubt { jump, start_after }) = state.doubt {
            if !start_after.is_some_and(|last| is_plausible_start(now.wall, last)) {
                return Err(Jump { observed: now.wall, ..jump });
            }
            *state = State { last: now, doubt: None };
        }
        let passed = (now.since_boot - state.last.since_boot).max(0);
        let expected = state.last.wall.plus_secs(passed);
        if !is_near(now.wall, expected) {
            return Err(Jump { observed: now.wall, expected });
        }
        if passed >= COMPARED_SECS {
            state.last = now;
        }
        Ok(now.wall)
    }

    /// Doubts the clock until [`Guard::trust`], or until it is plausible for a start after `start_after`.
    pub fn doubt(&self, jump: Jump, start_after: Option<Timestamp>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).doubt = Some(Doubt { jump, start_after });
    }

    pub fn trust(&self, now: Reading) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State { last: now, doubt: None };
    }
}

fn is_near(wall: Timestamp, expected: Timestamp) -> bool {
    (-BACK_SECS..=AHEAD_SECS).contains(&(wall.secs() - expected.secs()))
}

/// Whether a machine that was alive at `last` may well start at `wall`.
fn is_plausible_start(wall: Timestamp, last: Timestamp) -> bool {
    (-BACK_SECS..=SILENCE_MAX_SECS).contains(&(wall.secs() - last.secs()))
}

/// A daemon's watch over its clock: doubts are kept in the books, where commands see them and a restart does not
/// forget them. Each daemon has its own, and ends no other's.
#[derive(Debug)]
pub struct ClockWatch {
    worker: String,
    /// Whose doubts are this clock's: its own, and those of lives before on the same machine.
    recorded: Vec<String>,
}

impl ClockWatch {
    /// A start compares the clock with the last second at which a daemon was alive.
    pub async fn start(store: &Store, clock: &Clock, worker: &str) -> Result<Self, JobError> {
        let now = clock.now();
        let doubts = of_this_machine(store, worker).await?;
        let recorded = doubts.iter().map(|doubt| doubt.worker.clone()).collect();
        let (doubt, watch) = (doubts.into_iter().next(), Self { worker: worker.to_owned(), recorded });
        let Some(last) = store.last_alive().await? else { return Ok(watch) };
        // A clock that jumped while a daemon ran is believed where that daemon left off; one that was wrong at a
        // start, as soon as it is plausible for one.
        let jumped = doubt.as_ref().is_some_and(|doubt| is_plausible_start(doubt.observed_at, last));
        let believed = if jumped { is_near(now, last) } else { is_plausible_start(now, last) };
        if !believed {
            let expected = doubt.map_or(last, |doubt| doubt.expected_at);
            let jump = Jump { observed: now, expected };
            if jumped { clock.doubt(jump) } else { clock.doubt_start(jump, last) }
        }
        Ok(watch)
    }

    /// The time to decide by. A doubt that begins is recorded, and one that is over is forgotten.
    pub async fn look(&mut self, store: &Store, clock: &Clock) -> Result<Timestamp, JobError> {
        let jump = match clock.trusted() {
            Ok(now) => {
                self.forget(store).await?;
                return Ok(now);
            }
            Err(jump) => jump,
        };
        if !self.recorded.contains(&self.worker) {
            store.clock_doubt_record(&self.worker, jump.observed, jump.expected).await?;
            self.recorded.push(self.worker.clone());
        }
        let doubts = store.clock_doubts().await?;
        let own = doubts.into_iter().find(|doubt| doubt.worker == self.worker);
        if own.is_none() {
            // Taken for gone: the next look records it anew.
            self.recorded.clear();
        }
        match own.and_then(|doubt| doubt.confirmed) {
            Some((at, by)) if is_near(jump.observed, at) => {
                clock.trust();
                self.forget(store).await?;
                tracing::warn!(by, now = %jump.observed, "the clock is confirmed");
                Ok(jump.observed)
            }
            _ => Err(jump.into()),
        }
    }

    async fn forget(&mut self, store: &Store) -> Result<(), JobError> {
        if !self.recorded.is_empty() {
            store.clock_doubts_end(&self.recorded).await?;
            self.recorded.clear();
        }
        Ok(())
    }
}

/// The doubts of this daemon, and of those that worked on this machine before it and are gone.
async fn of_this_machine(store: &Store, worker: &str) -> Result<Vec<ClockDoubt>, JobError> {
    let mut doubts = store.clock_doubts().await?;
    if !doubts.is_empty() {
        let alive = store.workers_alive().await?.unwrap_or_default();
        doubts.retain(|doubt| {
            doubt.worker == worker || machine(&doubt.worker) == machine(worker) && !alive.contains(&doubt.worker)
        });
    }
    Ok(doubts)
}

/// Where many daemons serve, each life's name is its machine's, its process's and chance's.
fn machine(worker: &str) -> &str {
    worker.rsplitn(3, '-').last().unwrap_or(worker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, WORKER, at};

    fn reading(wall: i64, since_boot: i64) -> Reading {
        Reading { wall: Timestamp::from_secs(1_000_000 + wall), since_boot }
    }

    #[test]
    fn a_jump_is_doubted_until_the_clock_is_back() {
        for (jump, believed) in [
            (-40 * 86_400, false),
            (-301, false),
            (-300, true),
            (1, true),
            (3_600, true),
            (3_601, false),
            (864_000, false),
        ] {
            let guard = Guard::new(reading(0, 10));
            let judged = guard.judge(reading(5 + jump, 15));
            assert_eq!(judged.is_ok(), believed, "{jump}: {judged:?}");
            if let Err(jumped) = judged {
                assert_eq!((jumped.observed, jumped.expected), (reading(5 + jump, 0).wall, reading(5, 0).wall));
                assert!(guard.judge(reading(100 + jump, 110)).is_err(), "it stays doubted");
            }
            assert!(guard.judge(reading(200, 210)).is_ok(), "it is back");
        }
    }

    #[test]
    fn being_put_right_in_steps_is_no_jump_and_a_sleep_is_none() {
        let guard = Guard::new(reading(0, 0));
        for minute in 1..=600 {
            assert!(guard.judge(reading(minute * 60 - minute, minute * 60)).is_ok(), "{minute}");
        }
        assert!(guard.judge(reading(40 * 86_400, 40 * 86_400 + 600)).is_ok());
    }

    #[test]
    fn what_is_confirmed_is_where_it_goes_on_from() {
        let guard = Guard::new(reading(0, 0));
        assert!(guard.judge(reading(864_000, 1)).is_err());
        guard.trust(reading(864_000, 2));
        assert!(guard.judge(reading(864_010, 12)).is_ok());
        assert!(guard.judge(reading(20, 20)).is_err(), "back where it was is a jump now");
    }

    /// A daemon starts at `start`, while the books saw the last one at noon.
    async fn started(start: &str) -> (Bench, Clock, ClockWatch) {
        let bench = Bench::at("2026-03-01T12:00:00Z").await;
        bench.office.store.heartbeat(bench.now()).await.expect("a beat");
        let clock = Clock::simulated(at(start));
        let watch = ClockWatch::start(&bench.office.store, &clock, WORKER).await.expect("a watch");
        (bench, clock, watch)
    }

    #[tokio::test]
    async fn a_start_far_from_the_last_life_asks_first() {
        for (start, believed) in [
            ("2026-03-01T11:54:59Z", false),
            ("2026-03-01T11:55:00Z", true),
            ("2026-04-10T12:00:00Z", true),
            ("2026-04-15T12:00:01Z", false),
            ("2098-01-01T00:00:00Z", false),
        ] {
            let (bench, clock, mut watch) = started(start).await;
            let looked = watch.look(&bench.office.store, &clock).await;
            assert_eq!(looked.is_ok(), believed, "{start}: {looked:?}");
            let doubt = bench.office.store.clock_doubts().await.expect("readable");
            assert_eq!(doubt.is_empty(), believed, "{start}");
        }
    }

    #[tokio::test]
    async fn a_restart_does_not_forget_a_doubt_and_a_confirmation_ends_it() {
        let (bench, clock, mut watch) = started("2098-01-01T00:00:00Z").await;
        let store = &bench.office.store;
        watch.look(store, &clock).await.expect_err("doubted");
        // Another wrong one is no better.
        let right = Clock::simulated(at("2026-06-03T12:00:00Z"));
        let mut watch = ClockWatch::start(store, &right, WORKER).await.expect("a watch");
        watch.look(store, &right).await.expect_err("still doubted");
        // A confirmation of another time is none of this clock's.
        store.clock_confirm(clock.now(), "cli:ann").await.expect("confirmed");
        watch.look(store, &right).await.expect_err("not this one");
        assert!(store.clock_confirm(right.now(), "cli:ann").await.expect("confirmed"));
        assert_eq!(watch.look(store, &right).await.expect("confirmed"), right.now());
        assert!(store.clock_doubts().await.expect("readable").is_empty());
        assert_eq!(watch.look(store, &right).await.expect("trusted"), right.now());
        assert!(!store.clock_confirm(right.now(), "cli:ann").await.expect("asked"), "nobody doubts it");
    }

    /// The machine started before its clock was put right by the network.
    #[tokio::test]
    async fn a_wrong_start_is_forgotten_when_the_clock_is_put_right() {
        let right = at("2026-03-03T12:00:00Z");
        for wrong in ["1970-01-01T00:10:00Z", "2026-03-01T11:00:00Z", "2098-01-01T00:00:00Z"] {
            let (bench, clock, mut watch) = started(wrong).await;
            let store = &bench.office.store;
            watch.look(store, &clock).await.expect_err("doubted");
            // While it runs, as far as a clock that stands can be moved, and at its next start.
            if clock.now() < right {
                clock.advance_to(right);
                assert_eq!(watch.look(store, &clock).await.expect("believed"), right, "{wrong}");
                assert!(store.clock_doubts().await.expect("readable").is_empty());
            } else {
                let clock = Clock::simulated(right);
                let mut watch = ClockWatch::start(store, &clock, WORKER).await.expect("a watch");
                assert_eq!(watch.look(store, &clock).await.expect("believed"), right, "{wrong}");
                assert!(store.clock_doubts().await.expect("readable").is_empty());
            }
        }
    }

    /// A jump while a daemon ran, though a start after that long would be no wonder.
    #[tokio::test]
    async fn a_jump_is_not_believed_for_being_seen_again_at_a_start() {
        let (bench, clock, mut watch) = started("2026-03-01T12:00:30Z").await;
        let store = &bench.office.store;
        clock.doubt(Jump { observed: at("2026-03-11T12:00:00Z"), expected: clock.now() });
        clock.advance_to(at("2026-03-11T12:00:00Z"));
        watch.look(store, &clock).await.expect_err("doubted");
        let again = Clock::simulated(at("2026-03-11T12:01:00Z"));
        let mut watch = ClockWatch::start(store, &again, WORKER).await.expect("a watch");
        watch.look(store, &again).await.expect_err("still doubted");
    }

    /// Each of two daemons doubts its own clock.
    #[tokio::test]
    async fn a_doubt_is_one_daemons_and_a_confirmation_is_for_all() {
        let (bench, clock, mut one) = started("2098-01-01T00:00:00Z").await;
        let (store, other_clock) = (&bench.office.store, Clock::simulated(clock.now()));
        one.look(store, &clock).await.expect_err("doubted");
        // A daemon that starts well, or goes on, takes nobody's doubt away.
        let well = Clock::simulated(bench.now());
        let mut healthy = ClockWatch::start(store, &well, "healthy").await.expect("a watch");
        healthy.look(store, &well).await.expect("believed");
        assert_eq!(store.clock_doubts().await.expect("readable").len(), 1);
        let mut other = ClockWatch::start(store, &other_clock, "other").await.expect("a watch");
        other.look(store, &other_clock).await.expect_err("doubted");
        assert_eq!(store.clock_doubts().await.expect("readable").len(), 2);
        assert!(store.clock_confirm(clock.now(), "cli:ann").await.expect("confirmed"));
        for (watch, clock) in [(&mut one, &clock), (&mut other, &other_clock)] {
            assert_eq!(watch.look(store, clock).await.expect("confirmed"), clock.now());
        }
        assert!(store.clock_doubts().await.expect("readable").is_empty());
    }

    #[test]
    fn lives_of_one_machine_are_known() {
        assert_eq!(machine("bursar@a-host-17-00ff"), machine("bursar@a-host-4711-0abc"));
        assert_ne!(machine("bursar@a-host-17-00ff"), machine("bursar@b-host-17-00ff"));
        assert_eq!(machine("serve"), "serve");
    }
}
