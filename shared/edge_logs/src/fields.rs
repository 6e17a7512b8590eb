//! Values of columns: numbers, dates, times.

use chrono::NaiveDate;
use values::Timestamp;

/// Reads a whole number from 0 to 2^63 - 1, the largest a table keeps.
#[inline]
fn number(text: &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (!text.is_empty() && value <= i64::MAX.cast_unsigned()).then_some(value)
}

/// Reads a whole number from 0 to `max`.
#[inline]
pub(crate) fn number_up_to(max: u64, text: &[u8]) -> Option<u64> {
    number(text).filter(|&value| value <= max)
}

/// Reads an instant given in whole seconds since 1970.
pub(crate) fn epoch_seconds(text: &[u8]) -> Option<Timestamp> {
    let seconds = i64::try_from(number(text)?).ok()?;
    (seconds <= Timestamp::MAX.as_seconds()).then(|| Timestamp::from_seconds(seconds))
}

/// Reads dates and times of day, and remembers the last date: neighbours nearly always share it.
#[derive(Debug)]
pub(crate) struct Dates {
    text: [u8; 10],
    midnight: i64,
}

impl Default for Dates {
    fn default() -> Self {
        Self { text: *b"1970-01-01", midnight: 0 }
    }
}

impl Dates {
    /// Reads `YYYY-MM-DD` and `HH:MM:SS` as an instant in UTC; years 1 to 9999.
    #[inline]
    pub(crate) fn instant(&mut self, date: &[u8], time: &[u8]) -> Option<Timestamp> {
        // Arrays of one length are compared without a call.
        let text: [u8; 10] = date.try_into().ok()?;
        if text != self.text {
            self.midnight = midnight(text)?;
            self.text = text;
        }
        let &[h1, h2, b':', m1, m2, b':', s1, s2] = time else {
            return None;
        };
        let (hour, minute, second) = (pair(h1, h2)?, pair(m1, m2)?, pair(s1, s2)?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let seconds = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
        Some(Timestamp::from_seconds(self.midnight + seconds))
    }
}

#[cold]
fn midnight(text: [u8; 10]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else {
        return None;
    };
    let year = pair(y1, y2)? * 100 + pair(y3, y4)?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, pair(m1, m2)?, pair(d1, d2)?)?;
    (year > 0).then(|| date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp())
}

#[inline]
fn pair(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| u32::from(tens * 10 + ones))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_whole_numbers_that_a_table_keeps() {
        let check = |text: &str, expected| assert_eq!(number(text.as_bytes()), expected, "{text}");
        check("0", Some(0));
        check("0012", Some(12));
        check("9223372036854775807", Some(i64::MAX.cast_unsigned()));
        for text in ["", "-", "-1", "+1", "1.0", "1e3", "NaN", " 1", "1 ", "0x1", "\u{661}"] {
            check(text, None);
        }
        check("9223372036854775808", None);
        check("18446744073709551616", None);
        check("99999999999999999999999999", None);
    }

    #[test]
    fn takes_only_dates_that_exist() {
        let read = |date: &str, time: &str| {
            let found = Dates::default().instant(date.as_bytes(), time.as_bytes());
            found.map(|at| at.to_string())
        };
        let check = |date, time, expected: Option<&str>| {
            assert_eq!(read(date, time).as_deref(), expected, "{date} {time}");
        };
        check("2014-11-24", "19:26:35", Some("2014-11-24T19:26:35Z"));
        check("2016-02-29", "00:00:00", Some("2016-02-29T00:00:00Z"));
        check("0001-01-01", "00:00:00", Some("0001-01-01T00:00:00Z"));
        check("9999-12-31", "23:59:59", Some("9999-12-31T23:59:59Z"));
        for date in ["2015-02-29", "2014-13-45", "0000-01-01", "2014-1-01", "2014/11/24", ""] {
            check(date, "00:00:00", None);
        }
        for time in ["24:00:00", "00:60:00", "00:00:60", "0:00:00", "00:00", "-1:00:00", ""] {
            check("2014-11-24", time, None);
        }
    }

    #[test]
    fn a_bad_date_does_not_stay_in_mind() {
        let mut dates = Dates::default();
        let time = b"00:00:01";
        assert!(dates.instant(b"2014-11-24", time).is_some());
        assert!(dates.instant(b"2014-11-31", time).is_none());
        assert!(dates.instant(b"2014-11-31", time).is_none());
        let at = dates.instant(b"2014-11-25", time).unwrap();
        assert_eq!(at.to_string(), "2014-11-25T00:00:01Z");
        // The cache begins with a true entry, so that no text is taken for it wrongly.
        assert!(Dates::default().instant(b"1970-01-01", time).is_some());
        assert!(Dates::default().instant(&[0; 10], time).is_none());
    }

    #[test]
    fn takes_epoch_seconds_up_to_the_year_9999() {
        let at = epoch_seconds(b"1400396107").unwrap();
        assert_eq!(at.to_string(), "2014-05-18T06:55:07Z");
        assert!(epoch_seconds(b"253402300799").is_some());
        assert!(epoch_seconds(b"253402300800").is_none());
        assert!(epoch_seconds(b"1400396107.5").is_none());
    }
}
