//! PostgreSQL's binary COPY format: what writes the most rows for the least work.

use super::{RowValues, Value, encoding};
use crate::Result;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const NULL: i32 = -1;

/// The rows as COPY takes them.
pub fn body<'v, T>(rows: &'v [T], bind: &impl Fn(&mut RowValues<'v>, &'v T)) -> Result<Vec<u8>> {
    let mut body = Vec::with_capacity(64 + rows.len() * 256);
    body.extend_from_slice(SIGNATURE);
    // No flags, and no extension of the header.
    body.extend_from_slice(&[0; 8]);
    let mut cells = RowValues::default();
    for row in rows {
        cells.clear();
        bind(&mut cells, row);
        let values = cells.values();
        body.extend_from_slice(&i16::try_from(values.len()).map_err(|error| encoding(error.into()))?.to_be_bytes());
        for value in values {
            push(&mut body, value)?;
        }
    }
    body.extend_from_slice(&(-1_i16).to_be_bytes());
    Ok(body)
}

fn push(body: &mut Vec<u8>, value: &Value<'_>) -> Result<()> {
    match value {
        Value::Int(Some(value)) => field(body, &value.to_be_bytes()),
        Value::Flag(Some(value)) => field(body, &[u8::from(*value)]),
        Value::Text(Some(value)) => field(body, value.as_bytes()),
        Value::Int(None) | Value::Flag(None) | Value::Text(None) => {
            body.extend_from_slice(&NULL.to_be_bytes());
            Ok(())
        }
        _ => Err(encoding("a cell is no set".into())),
    }
}

fn field(body: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    let length = i32::try_from(bytes.len()).map_err(|error| encoding(error.into()))?;
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_its_cells_with_their_lengths() {
        let rows = [(7_i64, Some("ab"), None::<bool>)];
        let rows: &'static [_] = Box::leak(Box::new(rows));
        let body = body(rows, &|cells: &mut RowValues<'static>, row: &'static (i64, Option<&'static str>, _)| {
            cells.push_bind(row.0).push_bind(row.1).push_bind(row.2);
        });
        let body = body.expect("a body");
        assert!(body.starts_with(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"));
        let expected = b"\0\x03\0\0\0\x08\0\0\0\0\0\0\0\x07\0\0\0\x02ab\xff\xff\xff\xff\xff\xff";
        assert_eq!(body[19..], expected[..]);
    }
}
