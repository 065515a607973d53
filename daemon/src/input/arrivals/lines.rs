//! The lines of a file, none of them longer than fits in memory many times over.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

/// No line of an import comes near this.
const LONGEST: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub struct Lines {
    /// None once the file can't be read on.
    reader: Option<BufReader<File>>,
    begun: bool,
}

impl Lines {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { reader: Some(BufReader::new(File::open(path)?)), begun: false })
    }

    /// The next line, or what is wrong with it.
    pub fn next(&mut self) -> Option<Result<String, String>> {
        match self.read() {
            Ok(line) => line,
            Err(error) => {
                self.reader = None;
                Some(Err(format!("can't be read: {error}")))
            }
        }
    }

    fn read(&mut self) -> io::Result<Option<Result<String, String>>> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let mut bytes = Vec::new();
        let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        if reader.by_ref().take(most + 1).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        let is_whole = bytes.pop_if(|last| *last == b'\n').is_some();
        bytes.pop_if(|last| *last == b'\r');
        if bytes.len() >= LONGEST && !is_whole {
            // Past its end, without keeping what is read.
            reader.skip_until(b'\n')?;
            return Ok(Some(Err(format!("the line is longer than {LONGEST} bytes"))));
        }
        let is_first = !std::mem::replace(&mut self.begun, true);
        if is_first && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let column = error.utf8_error().valid_up_to() + 1;
            format!("it is not UTF-8, from its byte {column} on")
        });
        Ok(Some(text))
    }
}
