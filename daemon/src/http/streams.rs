//! Answers that go on for long, like a run's progress: each takes a place, of which there are far fewer than
//! connections, and no key takes many of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use store::KeyId;

const PLACES: usize = 128;
const PLACES_OF_A_KEY: usize = 16;

#[derive(Clone, Default)]
pub struct Streams(Arc<Mutex<HashMap<KeyId, usize>>>);

/// Free again once it is dropped.
pub struct Place {
    streams: Streams,
    key: KeyId,
}

impl Streams {
    /// A place for one more; none where all are taken.
    pub fn place(&self, key: KeyId) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (taken.values().sum::<usize>(), taken.get(&key).copied().unwrap_or_default());
        if all >= PLACES || own >= PLACES_OF_A_KEY {
            return None;
        }
        taken.insert(key, own + 1);
        Some(Place { streams: self.clone(), key })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.key) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_some_places_and_all_have_no_more_than_there_are() {
        let streams = Streams::default();
        let mut places: Vec<Place> = (0..PLACES_OF_A_KEY).filter_map(|_| streams.place(KeyId(1))).collect();
        assert!(places.len() == PLACES_OF_A_KEY && streams.place(KeyId(1)).is_none());
        places.extend((2..=200).filter_map(|key| streams.place(KeyId(key))));
        assert!(places.len() == PLACES && streams.place(KeyId(300)).is_none());
        places.pop();
        assert!(streams.place(KeyId(300)).is_some());
        drop(places);
        assert!(streams.0.lock().expect("a lock").is_empty());
    }
}
