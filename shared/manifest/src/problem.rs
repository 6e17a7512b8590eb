//! What is wrong in worker.toml.

use std::fmt;

/// One thing that is wrong in a manifest. Prints as one line, as of a file named worker.toml.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Problem {
    /// Says it on one line, as of the file that was read.
    pub fn of_file(&self, file: &str) -> String {
        let Self { line, message, hint } = self;
        let hint = hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
        format!("{file}:{line}: {message}{hint}")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.of_file("worker.toml"))
    }
}

/// Everything that is wrong in worker.toml, sorted by line. Prints one line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Says each on a line, as of the file that was read.
    pub fn of_file(&self, file: &str) -> String {
        let lines: Vec<String> = self.0.iter().map(|problem| problem.of_file(file)).collect();
        lines.join("\n")
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.of_file("worker.toml"))
    }
}

impl std::error::Error for Problems {}
