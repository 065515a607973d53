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
