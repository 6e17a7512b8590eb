//! Names of jobs and sources, and the patterns of allow-lists.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::text::as_text;

/// The longest name that is taken, in bytes.
const LONGEST_NAME: usize = 100;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not `domain/verb_object`.
    #[error(
        "`{found}` is not a job name; write domain/verb_object in lower case, such as logs/process_log"
    )]
    Job {
        /// What was found (at most 60 characters).
        found: String,
    },
    /// Not a word.
    #[error(
        "`{found}` is not a source; write lower-case letters, digits and underscores, such as media_host"
    )]
    Source {
        /// What was found (at most 60 characters).
        found: String,
    },
    /// Not a pattern of an allow-list.
    #[error(
        "`{found}` is not a job pattern; write an exact name, a domain such as \"logs/*\", or \"*\""
    )]
    Pattern {
        /// What was found (at most 60 characters).
        found: String,
    },
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Lower-case letters, digits and underscores, beginning with a letter.
fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        as_text!($name);

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// The name of a job: `domain/verb_object`, at most 100 bytes. Cheap to clone.
    JobName;
    /// Who asks: `api`, `scheduler`, `operator`; a word of at most 100 bytes. Cheap to clone.
    Source;
}

impl JobName {
    /// The part before the slash.
    pub fn domain(&self) -> &str {
        self.0.split_once('/').map_or("", |(domain, _)| domain)
    }
}

impl FromStr for JobName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            Some((domain, job))
                if text.len() <= LONGEST_NAME && is_word(domain) && is_word(job) =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(NameError::Job { found: shown(text) }),
        }
    }
}

impl FromStr for Source {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() <= LONGEST_NAME && is_word(text) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Source { found: shown(text) })
        }
    }
}

/// One entry of an allow-list: an exact name, `domain/*` or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum JobPattern {
    /// Every job.
    All,
    /// Every job of a domain.
    Domain(String),
    /// One job.
    Exact(JobName),
}

impl JobPattern {
    /// Whether the job is named by this entry.
    pub fn matches(&self, job: &JobName) -> bool {
        match self {
            Self::All => true,
            Self::Domain(domain) => job.domain() == domain,
            Self::Exact(name) => name == job,
        }
    }
}

impl fmt::Display for JobPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Domain(domain) => write!(f, "{domain}/*"),
            Self::Exact(name) => write!(f, "{name}"),
        }
    }
}

impl FromStr for JobPattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "*" {
            return Ok(Self::All);
        }
        match text.strip_suffix("/*") {
            Some(domain) if is_word(domain) => Ok(Self::Domain(domain.to_owned())),
            _ => {
                text.parse().map(Self::Exact).map_err(|_| NameError::Pattern { found: shown(text) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_domain_and_job_in_lower_case() {
        let name: JobName = "logs/process_log".parse().unwrap();
        assert_eq!(name.domain(), "logs");
        let long = format!("a/{}", "b".repeat(LONGEST_NAME));
        for text in ["", "logs", "logs/", "/x", "Logs/x", "logs/x/y", "logs/1x", "lögs/x", &long] {
            assert!(text.parse::<JobName>().is_err(), "{text}");
        }
    }

    #[test]
    fn matches_exact_names_domains_and_everything() {
        let job: JobName = "logs/process_log".parse().unwrap();
        let check = |pattern: &str, expected| {
            let pattern: JobPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(&job), expected, "{pattern}");
        };
        check("*", true);
        check("logs/*", true);
        check("log/*", false);
        check("logs/process_log", true);
        check("logs/discover_logs", false);
        for text in ["logs*", "*/x", "logs/pro*", "**"] {
            assert!(text.parse::<JobPattern>().is_err(), "{text}");
        }
    }
}
