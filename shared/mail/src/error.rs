//! What can go wrong before a mail leaves.

use std::fmt;
use std::io;

use values::{Classify, Retry};

use crate::letter::LETTER_BYTES_MAX;

/// One fault of the templates or the brand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TemplateProblem {
    /// The file, or the name of a template that came with the program.
    pub file: String,
    /// The line, counted from 1, if it is known.
    pub line: Option<usize>,
    /// What is wrong and what to change.
    pub message: String,
}

impl fmt::Display for TemplateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// Every fault that was found, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TemplateProblems(pub Vec<TemplateProblem>);

impl fmt::Display for TemplateProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// Why a message did not become a letter. Trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The template cannot say this.
    #[error("the mail cannot be written: correct its template")]
    Template(#[from] TemplateProblem),
    /// A line break or another control character where one line is wanted.
    #[error("the {field} holds a line break or another control character")]
    NotOneLine {
        /// Where: `subject`, `recipient's name`, `attachment's name`.
        field: &'static str,
    },
    /// The id cannot be part of a Message-ID.
    #[error("the id of the mail is not 1 to 100 letters, digits, `_`, `-` or `.`")]
    BadId,
    /// Text, logo and attachments are too much together.
    #[error("the mail has {bytes} bytes; {LETTER_BYTES_MAX} are allowed")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// The mail library refused the parts.
    #[error("the mail cannot be put together")]
    Assemble(#[source] lettre::error::Error),
}

impl Classify for MailError {
    fn retry(&self) -> Retry {
        match self {
            Self::Template(_)
            | Self::NotOneLine { .. }
            | Self::BadId
            | Self::TooLarge { .. }
            | Self::Assemble(_) => Retry::Never,
        }
    }
}

/// Why an outlet cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or written.
    #[error("the folder for mails, {folder}, cannot be used")]
    Folder {
        /// Which.
        folder: String,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// A setting is wrong.
    #[error("`{key}` of the SMTP server: {message}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What to change.
        message: String,
    },
}

impl Classify for OpenError {
    fn retry(&self) -> Retry {
        match self {
            Self::Folder { .. } => Retry::Backoff,
            Self::Setting { .. } => Retry::Never,
        }
    }
}
