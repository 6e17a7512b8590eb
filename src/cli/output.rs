//! What goes to stdout and stderr: sentences and tables for people, JSON for programs.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

use serde::Serialize;

use super::Format;

/// The first failed write to stdout: of the whole process, as stdout is.
static LOST: OnceLock<String> = OnceLock::new();

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
        let mut stdout = io::stdout().lock();
        remember(writeln!(stdout, "{text}").and_then(|()| stdout.flush()));
    }

    /// Why results were lost, if some were.
    pub(super) fn lost() -> Option<&'static str> {
        LOST.get().map(String::as_str)
    }

    /// Prints one JSON value: on one line for programs, indented for people.
    pub fn json(self, value: &impl Serialize) {
        let text = if self.is_json() {
            serde_json::to_string(value)
        } else {
            serde_json::to_string_pretty(value)
        };
        self.line(&escaped_json(&text.expect("results are plain data")));
    }

    /// Prints an error on stderr.
    pub fn error(self, text: &str) {
        let line = if self.is_json() {
            escaped_json(&serde_json::json!({ "error": text }).to_string())
        } else {
            let lines: Vec<String> = text.lines().map(printable).collect();
            format!("error: {}", lines.join("\n"))
        };
        writeln!(std::io::stderr(), "{line}").ok();
    }

    /// Prints a line for people on stderr, where it does not mix with results.
    pub fn note(self, text: &str) {
        writeln!(std::io::stderr(), "{}", printable(text)).ok();
    }

    /// Prints a table with a head; numbers are set to the right. Cells are made printable.
    pub fn table(self, head: &[&str], rows: &[Vec<String>]) {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
        let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
        let line = aligned(&head, &widths);
        self.line(&if self.colour { format!("\u{1b}[1m{line}\u{1b}[0m") } else { line });
        for row in &rows {
            self.line(&aligned(row, &widths));
        }
    }
}

/// Remembers a write to stdout that failed, so that the process does not end as if it had not.
pub(super) fn remember(written: io::Result<()>) {
    match written {
        Ok(()) => {}
        // Whoever closed the pipe does not want the rest.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        // Only the first counts.
        Err(error) => drop(LOST.set(error.to_string())),
    }
}

/// Escapes what could steer a terminal or turn text around, so that a stranger's text stays text.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Control characters, and those without width that change how others are shown.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Escapes them in written JSON too: there the first 32 stand only between values.
fn escaped_json(json: &str) -> String {
    use std::fmt::Write;

    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if c >= ' ' && steers(c) {
            write!(shown, "\\u{:04x}", u32::from(c)).expect("memory takes every write");
        } else {
            shown.push(c);
        }
    }
    shown
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_would_steer_a_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{9b}\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{9b}\\u{202e}d");
        assert_eq!(printable("Zürich 日本"), "Zürich 日本");
        let value = "\u{1b}\u{9b}\u{202e}é";
        let written = escaped_json(&serde_json::to_string(value).unwrap());
        assert_eq!(written, "\"\\u001b\\u009b\\u202eé\"");
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), value);
    }
}
