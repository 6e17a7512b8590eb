//! What goes to stdout and stderr: sentences and tables for people, JSON for programs.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::Format;

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
    colour: bool,
}

impl Output {
    /// Prints in a format; colour only on a terminal that wants it.
    pub fn new(format: Format, no_color: bool) -> Self {
        Self { format, colour: !no_color && std::io::stdout().is_terminal() }
    }

    /// Whether a program reads the output.
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether colours are used.
    pub fn colour(self) -> bool {
        self.colour
    }

    /// Prints a line for people.
    pub fn line(self, text: &str) {
        // Whoever closed the pipe does not want the rest.
        writeln!(std::io::stdout(), "{text}").ok();
    }

    /// Prints one JSON value: on one line for programs, indented for people.
    pub fn json(self, value: &impl Serialize) {
        let text = if self.is_json() {
            serde_json::to_string(value)
        } else {
            serde_json::to_string_pretty(value)
        };
        self.line(&text.expect("results are plain data"));
    }

    /// Prints an error on stderr.
    pub fn error(self, text: &str) {
        let line = if self.is_json() {
            serde_json::json!({ "error": text }).to_string()
        } else {
            format!("error: {text}")
        };
        writeln!(std::io::stderr(), "{line}").ok();
    }

    /// Prints a table with a head; numbers are set to the right.
    pub fn table(self, head: &[&str], rows: &[Vec<String>]) {
        let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
        let line = aligned(&head, &widths);
        self.line(&if self.colour { format!("\u{1b}[1m{line}\u{1b}[0m") } else { line });
        for row in rows {
            self.line(&aligned(row, &widths));
        }
    }
}

fn aligned(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let is_number = cell.starts_with(|c: char| c.is_ascii_digit())
            && cell.chars().all(|c| c.is_ascii_digit() || ",._% ".contains(c));
        let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
        if is_number {
            line.push_str(&pad);
            line.push_str(cell);
        } else {
            line.push_str(cell);
            line.push_str(&pad);
        }
        line.push_str("  ");
    }
    line.trim_end().to_owned()
}
