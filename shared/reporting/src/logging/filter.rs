//! Which events are written to stderr: `info`, or levels by target as in `info,sqlx=warn`.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use values::did_you_mean;

use crate::logging::LoggingError;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Reads a filter: levels, alone or as `target=level`, separated by commas; the last alone wins.
///
/// A target is the beginning of a module path. What no entry names is not written.
pub(crate) fn read(filter: &str) -> Result<Targets, LoggingError> {
    let mut targets = Targets::new();
    for entry in filter.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        targets = match entry.split_once('=') {
            Some((target, level)) => targets.with_target(target.trim(), level_of(level.trim())?),
            None => targets.with_default(level_of(entry)?),
        };
    }
    Ok(targets)
}

fn level_of(word: &str) -> Result<LevelFilter, LoggingError> {
    let wrong = || LoggingError::Level {
        found: word.chars().take(60).collect(),
        near: did_you_mean(word, LEVELS),
    };
    // Numbers are levels to the library; here only names are.
    if LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word)) {
        word.parse().map_err(|_| wrong())
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn reads_levels_and_targets() {
        let check = |filter: &str, target: &str, level: Level, expected| {
            let targets = read(filter).unwrap();
            assert_eq!(targets.would_enable(target, &level), expected, "{filter} {target} {level}");
        };
        check("info", "sqlx::query", Level::INFO, true);
        check("info", "sqlx::query", Level::DEBUG, false);
        check("info, sqlx = warn", "sqlx::query", Level::INFO, false);
        check("info,sqlx=WARN", "jobs::logs", Level::INFO, true);
        check("debug,sqlx=off", "sqlx::query", Level::ERROR, false);
        check("", "jobs", Level::ERROR, false);
    }

    #[test]
    fn says_what_a_level_is() {
        let message = |filter: &str| read(filter).unwrap_err().to_string();
        assert_eq!(
            message("inof"),
            "`inof` is not a log level (did you mean `info`?); \
             write off, error, warn, info, debug or trace, alone or by target: info,sqlx=warn"
        );
        assert!(message("info,sqlx").starts_with("`sqlx` is not a log level; write off"));
        assert!(message("sqlx=3").starts_with("`3` is not a log level"));
    }
}
