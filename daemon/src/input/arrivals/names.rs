//! Names that stand in a file already.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

/// Of each name 16 bytes of its digest, which of a billion names are the same for two by a chance of one in 10²⁰: a
/// digest that comes again is a name that comes again.
type Mark = [u8; 16];

pub struct Names(Option<HashSet<Mark>>);

impl Names {
    /// To find the ones that come again.
    pub fn watched() -> Self {
        Self(Some(HashSet::new()))
    }

    /// For a file in which none does.
    pub const fn unwatched() -> Self {
        Self(None)
    }

    /// Takes a name, in as many parts as it has; whether it came before.
    pub fn came_before(&mut self, parts: &[&str]) -> bool {
        self.0.as_mut().is_some_and(|marks| !marks.insert(mark(parts)))
    }
}

fn mark(parts: &[&str]) -> Mark {
    let mut hasher = Sha256::new();
    for part in parts {
        // No part has such a byte, so that "a b" and "c" are not "a" and "b c".
        hasher.update(part);
        hasher.update([0]);
    }
    let digest = hasher.finalize();
    let mut mark = Mark::default();
    mark.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_again_where_all_its_parts_do() {
        let mut names = Names::watched();
        for name in [&["account", "ann"][..], &["service", "ann"], &["invoice", "a b", "c"], &["invoice", "a", "b c"]] {
            assert!(!names.came_before(name), "{name:?}");
            assert!(names.came_before(name), "{name:?}");
        }
        let mut names = Names::unwatched();
        assert!(!names.came_before(&["account", "ann"]) && !names.came_before(&["account", "ann"]));
    }
}
