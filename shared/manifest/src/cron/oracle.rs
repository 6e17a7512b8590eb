//! Compares [`Cron`] with a second implementation and with its own definition.

use std::collections::HashSet;

use chrono::{DateTime, Datelike as _, Offset as _, TimeZone as _, Timelike as _, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::parser::{CronParser, Seconds};
use proptest::prelude::*;
use values::Timestamp;

use super::{Cron, SECOND};

const FIRST_SECOND: i64 = 1_577_836_800; // 2020-01-01
const LAST_SECOND: i64 = 2_240_611_200; // 2041-01-01

/// The instants at which a zone's offset changes in 2020 to 2040, in seconds.
fn changes(zone: Tz) -> Vec<i64> {
    const DAY: i64 = 86_400;
    let offset = |at| {
        let at = DateTime::from_timestamp(at, 0).unwrap();
        zone.offset_from_utc_datetime(&at.naive_utc()).fix()
    };
    let mut found = Vec::new();
    let mut day = FIRST_SECOND;
    while day < LAST_SECOND {
        if offset(day) != offset(day + DAY) {
            let (mut low, mut high) = (day, day + DAY);
            while high - low > 1 {
                let middle = i64::midpoint(low, high);
                if offset(middle) == offset(day) {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            found.push(high);
        }
        day += DAY;
    }
    found
}

fn croner(expression: &str) -> croner::Cron {
    CronParser::builder()
        .seconds(Seconds::Optional)
        .dom_and_dow(true)
        .sloppy_ranges(true)
        .build()
        .parse(expression)
        .unwrap()
}

/// Walks both implementations from an instant (seconds) and compares each firing.
fn agrees(expression: &str, zone: Tz, from: i64, count: usize) -> Result<(), String> {
    let cron = Cron::parse(expression, zone).unwrap();
    let oracle = croner(expression);
    let mut at = Timestamp::from_seconds(from);
    for _ in 0..count {
        let local = zone.from_utc_datetime(&at.to_chrono().naive_utc());
        let ours = cron.next_after(at).unwrap();
        let theirs = oracle.find_next_occurrence(&local, false);
        // Croner gives up on a gap of more than two hours (Casey, Vostok).
        let Ok(theirs) = theirs else { return Ok(()) };
        let theirs = Timestamp::from_chrono(theirs.to_utc());
        if ours != theirs || ours <= at {
            return Err(format!("{expression} in {zone} after {at}: {ours}, croner {theirs}"));
        }
        at = ours;
    }
    Ok(())
}

#[test]
fn agrees_with_croner_around_every_change_of_every_zone() {
    let mut seen = HashSet::new();
    for zone in TZ_VARIANTS {
        for change in changes(zone) {
            let at = DateTime::from_timestamp(change, 0).unwrap();
            let before = zone.from_utc_datetime(&(at.naive_utc() - SECOND));
            let after = zone.from_utc_datetime(&at.naive_utc());
            if !seen.insert((before.naive_local(), after.naive_local())) {
                continue; // Many zones share a change.
            }
            let hour = u32::midpoint(before.hour(), after.hour());
            for expression in [format!("0 30 {hour} * * *"), "0 17 * * * *".to_owned()] {
                agrees(&expression, zone, change - 4_000, 4).unwrap();
            }
        }
    }
    assert!(seen.len() > 700, "{}", seen.len());
}

fn place() -> impl Strategy<Value = (Tz, i64)> {
    (0..TZ_VARIANTS.len(), any::<prop::sample::Index>(), -90_000..20_000_i64).prop_map(
        |(zone, which, distance)| {
            let zone = TZ_VARIANTS[zone];
            let changes = changes(zone);
            let near = if changes.is_empty() {
                FIRST_SECOND + 90_000 + i64::try_from(which.index(600_000_000)).unwrap()
            } else {
                changes[which.index(changes.len())]
            };
            (zone, near + distance)
        },
    )
}

fn minutes() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..60_u32).prop_map(|m| m.to_string()),
        Just("*".to_owned()),
        (2..31_u32).prop_map(|step| format!("*/{step}")),
        (0..30_u32, 30..60_u32).prop_map(|(a, b)| format!("{a},{b}")),
        (0..30_u32, 30..60_u32).prop_map(|(a, b)| format!("{a}-{b}/7")),
    ]
}

fn every_hour() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        1 => (2..13_u32).prop_map(|step| format!("*/{step}")),
    ]
}

fn hours() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..24_u32).prop_map(|h| h.to_string()),
        (0..5_u32).prop_map(|h| h.to_string()),
        (0..12_u32, 12..24_u32).prop_map(|(a, b)| format!("{a}-{b}")),
        (0..4_u32, 1..12_u32).prop_map(|(a, b)| format!("{a},{}", a + b)),
        every_hour(),
    ]
}

fn days() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("* * *".to_owned()),
        1 => (0..8_u32).prop_map(|day| format!("* * {day}")),
        1 => (0..4_u32, 4..8_u32).prop_map(|(a, b)| format!("* * {a}-{b}")),
        1 => (1..15_u32, 15..29_u32).prop_map(|(a, b)| format!("{a}-{b} * *")),
        1 => (1..8_u32, 0..7_u32).prop_map(|(a, day)| format!("{a}-28 * {day}")),
        1 => (1..13_u32).prop_map(|month| format!("1/3 {month}/2 *")),
    ]
}

/// What the documentation of [`Cron`] says, minute by minute: every firing in `hours` from
/// `from` (seconds, a whole minute), for an expression whose second is 0.
fn by_definition(expression: &str, zone: Tz, from: i64, hours: i64) -> Vec<Timestamp> {
    let oracle = croner(expression);
    let hour = expression.split(' ').nth(1).unwrap();
    let every_hour = hour.contains('*') || hour == "0-23";
    let matches = |wall: i64| {
        let wall = DateTime::<Utc>::from_timestamp(wall, 0).unwrap();
        oracle.is_time_matching(&wall).unwrap()
    };
    let wall_at = |at: i64| {
        let at = DateTime::from_timestamp(at, 0).unwrap();
        let offset = zone.offset_from_utc_datetime(&at.naive_utc()).fix();
        at.timestamp() + i64::from(offset.local_minus_utc())
    };
    let mut latest_wall = (1..=1_500).map(|back| wall_at(from - back * 60)).max().unwrap();
    let mut found = Vec::new();
    for minute in 1..hours * 60 {
        let at = from + minute * 60;
        let (wall, before) = (wall_at(at), wall_at(at - 60));
        let jumped_over = (before + 60..wall).step_by(60).any(matches);
        let is_repeat = wall <= latest_wall;
        let due =
            if every_hour { matches(wall) } else { (matches(wall) && !is_repeat) || jumped_over };
        latest_wall = latest_wall.max(wall);
        if due {
            found.push(Timestamp::from_seconds(at));
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_croner_where_both_define_the_same_rule(
        (zone, from) in place(),
        fixed in any::<bool>(),
        (second, minute, hour) in (0..60_u32, 0..60_u32, 0..24_u32),
        (many_minutes, all_hours, day) in (minutes(), every_hour(), days()),
    ) {
        let expression = if fixed {
            format!("{second} {minute} {hour} {day}")
        } else {
            format!("{second} {many_minutes} {all_hours} {day}")
        };
        let result = agrees(&expression, zone, from, 30);
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }

    #[test]
    fn fires_exactly_when_its_definition_says(
        (zone, from) in place(),
        (minute, hour, day) in (minutes(), hours(), days()),
    ) {
        let expression = format!("{minute} {hour} {day}");
        let from = from.div_euclid(60) * 60;
        let cron = Cron::parse(&expression, zone).unwrap();
        let mut at = Timestamp::from_seconds(from);
        for due in by_definition(&expression, zone, from, 50) {
            let next = cron.next_after(at);
            prop_assert_eq!(next, Some(due), "{} in {} after {}", expression, zone, at);
            at = due;
        }
        let end = Timestamp::from_seconds(from + 50 * 3_600 - 1);
        prop_assert!(cron.next_after(at).is_none_or(|next| next > end));
    }

    #[test]
    fn any_text_is_read_or_refused_and_any_instant_is_later(
        text in "[ *?/,0-9A-Za-z@#-]{0,40}|\\PC{0,30}|([0-9*,/-]{1,4} ){4,6}",
        at in any::<i64>(),
        zone in 0..TZ_VARIANTS.len(),
    ) {
        if let Ok(cron) = Cron::parse(&text, TZ_VARIANTS[zone]) {
            let at = Timestamp::from_micros(at);
            let next = cron.next_after(at);
            prop_assert!(next.is_none_or(|next| next > at && next.to_chrono().year() <= 2101));
        }
    }
}
