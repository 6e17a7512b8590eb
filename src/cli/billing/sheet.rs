//! One table that is printed for people, as JSON, or as comma-separated values.

use serde_json::Value;

use crate::cli::Output;

/// Rows below a head.
#[derive(Debug)]
pub(super) struct Sheet {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    /// Makes an empty one.
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, as long as the head.
    pub(super) fn add(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.head.len());
        self.rows.push(row);
    }

    /// Prints it; `nothing` says in a table's place that there are no rows.
    pub(super) fn print(&self, output: Output, csv: bool, json: &Value, nothing: &str) {
        if csv {
            self.csv(output);
        } else if output.is_json() {
            output.json(json);
        } else if self.rows.is_empty() {
            output.line(nothing);
        } else {
            output.table(&self.head, &self.rows);
        }
    }

    fn csv(&self, output: Output) {
        let head: Vec<String> =
            self.head.iter().map(|name| name.to_lowercase().replace(' ', "_")).collect();
        output.line(&head.join(","));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
            output.line(&cells.join(","));
        }
    }
}

/// A cell that no spreadsheet takes for a formula, and no reader for two.
fn quoted(cell: &str) -> String {
    let is_number = cell.parse::<f64>().is_ok();
    let guard = if !is_number && cell.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    let plain = |c: char| !c.is_control() && !matches!(c, ',' | '"');
    if cell.chars().all(plain) {
        return format!("{guard}{cell}");
    }
    let printable: String = cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("\"{guard}{}\"", printable.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_a_cell() {
        for (cell, expected) in [
            ("Otter Lane", "Otter Lane"),
            ("-12.50", "-12.50"),
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("a, \"b\"", "\"a, \"\"b\"\"\""),
            ("two\nlines", "\"two lines\""),
            ("@x,1", "\"'@x,1\""),
        ] {
            assert_eq!(quoted(cell), expected);
        }
    }
}
