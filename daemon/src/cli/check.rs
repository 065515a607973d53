//! `bursar check-config` and `bursar prices check`.

use std::path::{Path, PathBuf};

use crate::cli::{BAD_INPUT, DONE};
use crate::input::{Config, Problems, read_price_lists};

pub fn config(file: &Path) -> u8 {
    let checked = Config::read(file).and_then(|config| {
        read_price_lists(&config.price_files)?;
        Ok(config)
    });
    match checked {
        Ok(config) => {
            println!("{}: fine; {} price lists", file.display(), config.price_files.len());
            DONE
        }
        Err(problems) => refuse(&problems),
    }
}

pub fn prices(files: &[PathBuf]) -> u8 {
    match read_price_lists(files) {
        Ok(lists) => {
            for list in lists {
                println!("{}: fine; {} plans", list.path.display(), list.plans.len());
            }
            DONE
        }
        Err(problems) => refuse(&problems),
    }
}

/// Tells every problem, and the exit status.
pub fn refuse(problems: &Problems) -> u8 {
    eprintln!("{problems}");
    BAD_INPUT
}
