//! `bursar check-config` and `bursar prices check`.

use std::path::{Path, PathBuf};

use crate::cli::out::{say, tell};
use crate::cli::{BAD_INPUT, DONE};
use crate::input::{Config, Problems, read_price_lists};

pub fn config(file: &Path) -> anyhow::Result<u8> {
    let checked = Config::read(file).and_then(|config| {
        read_price_lists(&config.price_files)?;
        Ok(config)
    });
    match checked {
        Ok(config) => {
            say(format_args!("{}: fine; {} price lists", file.display(), config.price_files.len()))?;
            Ok(DONE)
        }
        Err(problems) => Ok(refuse(&problems)),
    }
}

pub fn prices(files: &[PathBuf]) -> anyhow::Result<u8> {
    match read_price_lists(files) {
        Ok(lists) => {
            for list in lists {
                say(format_args!("{}: fine; {} plans", list.path.display(), list.plans.len()))?;
            }
            Ok(DONE)
        }
        Err(problems) => Ok(refuse(&problems)),
    }
}

/// Tells every problem, and the exit status.
pub fn refuse(problems: &Problems) -> u8 {
    tell(problems);
    BAD_INPUT
}
