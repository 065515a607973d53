//! Bringing in the accounts of a host that moves here: a file is checked whole, then its accounts come in by batches,
//! each whole or not at all.

mod check;
mod write;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

pub use check::{Checked, Looked, look};
pub use write::{Contended, bring_in};

/// What a file is known by, whatever its name.
pub fn hash_of(file: &Path) -> io::Result<String> {
    let (mut file, mut hasher, mut bytes) = (File::open(file)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut bytes)? {
            0 => break,
            count => hasher.update(bytes.get(..count).unwrap_or_default()),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
