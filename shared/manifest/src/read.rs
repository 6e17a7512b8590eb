//! Collects what is wrong with a TOML file, each with its line.

use std::collections::BTreeSet;
use std::fmt::Display;

use toml::Spanned;
use toml::de::DeValue;
use toml_parser::Source;
use toml_parser::lexer::TokenKind;
use values::did_you_mean;

use crate::{Problem, Problems};

/// The most problems that are listed; further ones are counted.
const MOST_PROBLEMS: usize = 500;
/// The most dots in one dotted key. Deep trees would be taken apart by recursion.
const MOST_KEY_DOTS: usize = 8;
/// The most characters of a value that a message repeats.
const LONGEST_SHOWN: usize = 60;

/// A value with its place in the file.
pub(crate) type Item<'t> = Spanned<DeValue<'t>>;

/// Collects problems and knows which line an offset lies on.
pub(crate) struct Reader {
    line_starts: Vec<usize>,
    broken_lines: BTreeSet<usize>,
    problems: BTreeSet<Problem>,
    left_out: usize,
}

impl Reader {
    pub(crate) fn new(text: &str) -> Self {
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            line_starts: std::iter::once(0).chain(starts).collect(),
            broken_lines: BTreeSet::new(),
            problems: BTreeSet::new(),
            left_out: 0,
        }
    }

    /// The line of a byte offset, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// Whether the text is small and flat enough to be read; reports it if not.
    pub(crate) fn fits(&mut self, text: &str, bytes_max: usize) -> bool {
        if text.len() > bytes_max {
            let message = format!("the file has {} bytes", text.len());
            self.problem(0, message, format!("at most {bytes_max} are read"));
            return false;
        }
        let mut dots = 0;
        for token in Source::new(text).lex() {
            match token.kind() {
                TokenKind::Dot => dots += 1,
                TokenKind::Whitespace
                | TokenKind::Atom
                | TokenKind::BasicString
                | TokenKind::LiteralString => {}
                _ => dots = 0,
            }
            if dots > MOST_KEY_DOTS {
                let message = format!("a key with more than {MOST_KEY_DOTS} dots");
                let hint = "quote a name that has dots: [jobs.\"a.b\"]";
                self.problem(token.span().start(), message, hint.to_owned());
                return false;
            }
        }
        true
    }

    /// Records what is wrong at an offset and what would be right.
    pub(crate) fn problem(
        &mut self,
        offset: usize,
        message: impl Display,
        hint: impl Into<Option<String>>,
    ) {
        let line = self.line(offset);
        if self.broken_lines.contains(&line) {
            return; // The syntax error on that line has been told already.
        }
        if self.problems.len() >= MOST_PROBLEMS {
            self.left_out += 1;
            return;
        }
        self.problems.insert(Problem {
            line,
            message: one_line(&message.to_string()),
            hint: hint.into().map(|hint| one_line(&hint)),
        });
    }

    /// Records an error of the TOML parser.
    pub(crate) fn syntax(&mut self, error: &toml::de::Error) {
        let offset = error.span().map_or(0, |span| span.start);
        let (what, hint) = match error.message().split_once(", expected ") {
            Some((what, expected)) => (what, Some(format!("expected {expected}"))),
            None if error.message() == "duplicate key" => {
                ("the key stands here a second time", Some("keep one of the two".to_owned()))
            }
            None => (error.message(), None),
        };
        self.problem(offset, format!("not TOML: {what}"), hint);
        self.broken_lines.insert(self.line(offset));
    }

    /// Whether the file is sound TOML, so that what is absent is really absent.
    pub(crate) fn is_whole(&self) -> bool {
        self.broken_lines.is_empty()
    }

    pub(crate) fn found_any(&self) -> bool {
        !self.problems.is_empty()
    }

    /// "did you mean `x`?" for the nearest of the candidates, if one is near.
    pub(crate) fn suggest<'a>(
        &self,
        word: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Option<String> {
        if self.problems.len() >= MOST_PROBLEMS {
            return None;
        }
        did_you_mean(word, candidates).map(|nearest| format!("did you mean `{nearest}`?"))
    }

    pub(crate) fn into_problems(self) -> Problems {
        let mut problems: Vec<Problem> = self.problems.into_iter().collect();
        if self.left_out > 0 {
            problems.push(Problem {
                line: self.line_starts.len(),
                message: format!("{} further problems are not listed", self.left_out),
                hint: Some("mend the others first".to_owned()),
            });
        }
        Problems(problems)
    }
}

/// The beginning of a text that may be of any length.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(LONGEST_SHOWN).collect()
}

fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}
