use std::fmt::Write as _;

use chrono::TimeZone as _;
use chrono_tz::Tz;
use values::Timestamp;

use super::{Cron, CronError};

fn firings(expression: &str, zone: Tz, from: &str, count: usize) -> String {
    let cron = Cron::parse(expression, zone).unwrap();
    let mut at: Timestamp = from.parse().unwrap();
    let mut text = String::new();
    for _ in 0..count {
        at = cron.next_after(at).unwrap();
        let local = zone.from_utc_datetime(&at.to_chrono().naive_utc());
        write!(text, "{} ", local.format("%m-%dT%H:%M%:::z")).unwrap();
    }
    text.trim_end().to_owned()
}

#[test]
fn runs_a_time_of_day_once_when_the_clocks_change() {
    let check = |expression, from, expected: &str| {
        let found = firings(expression, Tz::America__New_York, from, 3);
        assert_eq!(found, expected, "{expression}");
    };
    // 2026-03-08: 02:00 to 03:00 does not exist.
    let spring = "2026-03-08T00:00:00Z";
    check("0 30 2 * * *", spring, "03-08T03:00-04 03-09T02:30-04 03-10T02:30-04");
    check("0,30 2 * * *", spring, "03-08T03:00-04 03-09T02:00-04 03-09T02:30-04");
    check("0 2,3 * * *", spring, "03-08T03:00-04 03-09T02:00-04 03-09T03:00-04");
    check("30 3 * * *", spring, "03-08T03:30-04 03-09T03:30-04 03-10T03:30-04");
    // 2026-11-01: 01:00 to 02:00 happens twice.
    let autumn = "2026-11-01T00:00:00Z";
    check("30 1 * * *", autumn, "11-01T01:30-04 11-02T01:30-05 11-03T01:30-05");
    check("0,30 1 * * *", autumn, "11-01T01:00-04 11-01T01:30-04 11-02T01:00-05");
    check("30 1 * * *", "2026-11-01T06:10:00Z", "11-02T01:30-05 11-03T01:30-05 11-04T01:30-05");
}

#[test]
fn runs_every_hour_that_passes_when_the_clocks_change() {
    let check = |expression, from, expected: &str| {
        let found = firings(expression, Tz::America__New_York, from, 4);
        assert_eq!(found, expected, "{expression} from {from}");
    };
    let spring = "2026-03-08T06:00:00Z";
    check("30 * * * *", spring, "03-08T01:30-05 03-08T03:30-04 03-08T04:30-04 03-08T05:30-04");
    let autumn = "2026-11-01T04:59:59.5Z";
    check("0 * * * *", autumn, "11-01T01:00-04 11-01T01:00-05 11-01T02:00-05 11-01T03:00-05");
    check("30 0-23 * * *", autumn, "11-01T01:30-04 11-01T01:30-05 11-01T02:30-05 11-01T03:30-05");
    let in_first_pass = "2026-11-01T05:40:00Z";
    check(
        "*/30 * * * *",
        in_first_pass,
        "11-01T01:00-05 11-01T01:30-05 11-01T02:00-05 11-01T02:30-05",
    );
    // Every second hour has no 01:00, and its 02:00 is not repeated.
    check("0 */2 * * *", autumn, "11-01T02:00-05 11-01T04:00-05 11-01T06:00-05 11-01T08:00-05");
}

#[test]
fn survives_zones_that_change_by_other_than_an_hour() {
    // Lord Howe Island moves by half an hour, Casey jumped three hours, Apia left out a day.
    let howe = firings("15 2 * * *", Tz::Australia__Lord_Howe, "2026-10-03T00:00:00Z", 2);
    assert_eq!(howe, "10-04T02:30+11 10-05T02:15+11");
    let casey = firings("30 1 * * *", Tz::Antarctica__Casey, "2020-10-03T12:00:00Z", 2);
    assert_eq!(casey, "10-04T03:01+11 10-05T01:30+11");
    let apia = firings("0 12 * * *", Tz::Pacific__Apia, "2011-12-29T23:00:00Z", 3);
    assert_eq!(apia, "12-31T00:00+14 12-31T12:00+14 01-01T12:00+14");
}

#[test]
fn reads_five_and_six_fields_weekdays_as_on_unix_and_words() {
    let check = |left, right| {
        let from = "2026-01-01T00:00:00Z";
        let fires = |expression| firings(expression, Tz::UTC, from, 40);
        assert_eq!(fires(left), fires(right), "{left} = {right}");
    };
    check("5 4 * * *", "0 5 4 * * *");
    check("0 0 * * 0", "0 0 * * SUN");
    check("0 0 * * 7", "0 0 * * sunday");
    check("0 0 * * 1-5", "0 0 ? * Mon,Tue,Wed,Thu,Fri");
    check("0 0 * * 5-7", "0 0 * * 0,5,6");
    check("0 0 * * FRI-SUN", "0 0 * * 0,5,6");
    check("0 0 * * 0-0", "0 0 * * 0");
    check("0 0 * * 0-7", "0 0 * * *");
    check("0 0 1 JAN-Mar *", "0 0 1 1,2,3 *");
    check("5/20 * * * *", "5,25,45 * * * *");
    check("10-40/15,59 * * * *", "10,25,40,59 * * * *");
    check("  @hourly ", "0 * * * *");
    check("@daily", "0 0 * * *");
    check("@weekly", "0 0 * * 0");
    check("@monthly", "0 0 1 * *");
    check("@yearly", "0 0 1 1 *");
}

#[test]
fn fires_on_days_that_match_day_of_month_and_weekday() {
    let first_mondays = firings("0 9 1-7 * MON", Tz::UTC, "2026-01-01T00:00:00Z", 3);
    assert_eq!(first_mondays, "01-05T09:00+00 02-02T09:00+00 03-02T09:00+00");
    let leap = firings("0 0 29 2 *", Tz::UTC, "2026-01-01T00:00:00Z", 1);
    assert_eq!(leap, "02-29T00:00+00");
}

#[test]
fn says_what_is_wrong_with_an_expression() {
    let check = |expression: &str, message: &str| {
        let error = Cron::parse(expression, Tz::UTC).unwrap_err();
        assert_eq!(error.to_string(), message, "{expression:?}");
        assert!(!error.hint().is_empty());
    };
    check("", "the expression has 0 fields");
    check("* * * *", "the expression has 4 fields");
    check("* * * * * * *", "the expression has 7 fields");
    check("60 * * * *", "`60` is no minute");
    check("5* * * * *", "`5*` is no minute");
    check("* 24 * * *", "`24` is no hour");
    check("* * 0 * *", "`0` is no day of month");
    check("* * L * *", "`L` is no day of month");
    check("* * * 13 *", "`13` is no month");
    check("* * * * 8", "`8` is no weekday");
    check("* * * * MON#2", "`MON#2` is no weekday");
    check("? * * * *", "`?` is no minute");
    check("1,,2 * * * *", "`` is no minute");
    check("*/0 * * * *", "`*/0` is no minute");
    check("1-2-3 * * * *", "`1-2-3` is no minute");
    check("+1 * * * *", "`+1` is no minute");
    check("* 22-2 * * *", "`22-2` runs backwards");
    check("@dayly", "`@dayly` stands for no expression");
    check("0 0 31 2 *", "no date matches the expression, so it never fires");
    check("0 0 30,31 2 MON", "no date matches the expression, so it never fires");
    check(&"*".repeat(201), "the expression has 201 bytes");
    let hint = Cron::parse("@dayly", Tz::UTC).unwrap_err().hint();
    assert_eq!(hint, "did you mean `@daily`?");
    assert_eq!(Cron::parse("0 0 31 4 *", Tz::UTC), Err(CronError::NeverFires));
}

#[test]
fn ends_with_the_year_2100_and_begins_with_1970() {
    let cron = Cron::parse("0 0 29 2 MON", Tz::Asia__Tokyo).unwrap();
    let next = |at| cron.next_after(at).map(|at| at.to_string());
    assert_eq!(next(Timestamp::MIN).as_deref(), Some("1988-02-28T15:00:00Z"));
    assert_eq!(next("2072-03-01T00:00:00Z".parse().unwrap()), None);
    assert_eq!(next(Timestamp::MAX), None);
}
