//! Where the next listing begins.

use super::*;

/// The marker after a listing at hour 100; hours count from 1970.
fn check(before: Option<(Option<&str>, i64)>, newest: i64, rest: Option<&str>, expected: i64) {
    let hour = |hour: i64| Timestamp::from_seconds(hour * 3_600);
    let location = "logs".parse().unwrap();
    let source = LogSource { format: edge_logs::SourceFormat::CloudFront, location };
    let listing = Listing {
        name: "cdn",
        source: &source,
        known_before: Timestamp::MIN,
        now: hour(100),
        files: Vec::new(),
        newest: Some(hour(newest)),
        goes_on_after: rest.map(str::to_owned),
        skipped_names: Vec::new(),
        report: Report::default(),
    };
    let marker = |key: Option<&str>, at| LogMarker {
        log_source: "cdn".to_owned(),
        listed_until_key: key.map(str::to_owned),
        listed_until: hour(at),
    };
    let before = before.map(|(key, at)| marker(key, at));
    assert_eq!(next_marker(&listing, before.as_ref()), Some(marker(rest, expected)));
}

#[test]
fn a_whole_listing_moves_the_marker_to_the_newest_object_and_never_back() {
    check(None, 90, None, 90);
    check(Some((None, 80)), 90, None, 90);
    check(Some((None, 95)), 90, None, 95);
    // No further than the clock.
    check(Some((None, 80)), 1_000, None, 100);
}

#[test]
fn the_parts_of_a_listing_keep_the_newest_object_of_the_first_one() {
    check(Some((None, 80)), 90, Some("k"), 90);
    check(Some((Some("k"), 90)), 99, Some("p"), 90);
    check(Some((Some("p"), 90)), 99, None, 90);
    check(None, 90, Some("k"), 90);
}
