//! Filters of the templates: how figures and times are written.

use billing::format;
use minijinja::Environment;
use minijinja::value::Serde;
use values::{Money, Month, Timestamp};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Adds every filter to an environment.
pub(crate) fn add_to(environment: &mut Environment<'_>) {
    environment.add_filter("money", |amount: Serde<Money>| format::money(amount.0));
    environment.add_filter("price", |amount: Serde<Money>| format::price(amount.0));
    environment.add_filter("bytes", |bytes: Serde<u64>| format::bytes(bytes.0));
    environment.add_filter("minutes", |milliseconds: Serde<u64>| minutes(milliseconds.0));
    environment
        .add_filter("percent", |used: Serde<u64>, limit: Serde<u64>| percent(used.0, limit.0));
    environment.add_filter("number", |count: Serde<u64>| grouped(count.0));
    environment.add_filter("month", |month: Serde<Month>| long_month(month.0));
    environment.add_filter("day", |at: Serde<Timestamp>| day(at.0));
    environment.add_filter("utc", |at: Serde<Timestamp>| utc(at.0));
    environment.add_filter("and", |words: Serde<Vec<String>>| and(&words.0));
    environment.add_filter("title", |word: Serde<crate::AdminEventKind>| word.0.title());
}

/// `12.50 minutes`, `400.0k minutes`.
fn minutes(milliseconds: u64) -> String {
    match format::minutes(milliseconds).as_str() {
        "" => "0 minutes".to_owned(),
        figure => format!("{figure} minutes"),
    }
}

/// Whole percent, rounded down, so that 100 % is never said too early; `over 100` without a limit.
fn percent(used: u64, limit: u64) -> String {
    match u128::from(limit) {
        0 => "over 100 %".to_owned(),
        limit => format!("{} %", u128::from(used) * 100 / limit),
    }
}

fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

/// `February 2026`.
fn long_month(month: Month) -> String {
    let [year, month, _] = date(month.start());
    format!("{} {year}", name(&month))
}

/// `2 November 2026`.
fn day(at: Timestamp) -> String {
    let [year, month, day] = date(at);
    format!("{} {} {year}", day.trim_start_matches('0'), name(&month))
}

/// `2 November 2026, 14:05 UTC`.
fn utc(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{}, {} UTC", day(at), text.get(11..16).unwrap_or_default())
}

/// `a, b and c`.
fn and(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Year, month and day as printed: `2026-11-02T…`.
fn date(at: Timestamp) -> [String; 3] {
    let text = at.to_string();
    [0..4, 5..7, 8..10].map(|range| text.get(range).unwrap_or_default().to_owned())
}

fn name(month: &str) -> &'static str {
    let number: usize = month.parse().unwrap_or(1);
    MONTHS[(number - 1) % MONTHS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_times_in_utc() {
        let at: Timestamp = "2026-11-02T04:05:59.9Z".parse().unwrap();
        assert_eq!(utc(at), "2 November 2026, 04:05 UTC");
        assert_eq!(day(at), "2 November 2026");
        assert_eq!(long_month("2026-12".parse().unwrap()), "December 2026");
    }

    #[test]
    fn writes_shares_figures_and_lists() {
        assert_eq!((percent(904, 1000), percent(1000, 1000)), ("90 %".into(), "100 %".into()));
        assert_eq!((percent(9_999, 10_000), percent(1, 0)), ("99 %".into(), "over 100 %".into()));
        assert_eq!((grouped(0), grouped(1_234_567)), ("0".into(), "1,234,567".into()));
        assert_eq!(
            (minutes(0), minutes(24_000_000_000)),
            ("0 minutes".into(), "400.0k minutes".into())
        );
        let words = ["a", "b", "c"].map(str::to_owned);
        assert_eq!((and(&words[..1]), and(&words)), ("a".into(), "a, b and c".into()));
    }
}
