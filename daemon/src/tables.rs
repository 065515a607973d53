//! Tables for people.

use comfy_table::{CellAlignment, Table, TableComponent, presets};
use rules::Timestamp;

/// An empty table; columns of numbers, named in `right`, stand to the right.
pub fn table(head: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(head);
    for between_rows in [TableComponent::HorizontalLines, TableComponent::MiddleIntersections] {
        table.remove_style(between_rows);
    }
    for index in right {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A time for machines, as the books write it.
pub fn written(at: impl Into<Option<Timestamp>>) -> Option<String> {
    at.into().map(|at| at.to_string())
}

pub fn or_dash(value: Option<&str>) -> &str {
    value.unwrap_or("-")
}

/// As in `1 account` and `2 accounts`.
pub fn counted(count: impl TryInto<u64>, what: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2].map(|count: u64| counted(count, "account")), ["0 accounts", "1 account", "2 accounts"]);
    }
}
