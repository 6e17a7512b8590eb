//! Dates as people of every country read them: the month in letters.

use chrono::{DateTime, Datelike, Utc};
use krilla::metadata::DateTime as PdfDateTime;
use values::{Month, Span, Timestamp};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn name(at: DateTime<Utc>) -> &'static str {
    MONTHS[at.month0() as usize]
}

/// Writes a UTC date: `3 Dec 2026`.
pub(crate) fn date(at: Timestamp) -> String {
    let at = at.to_chrono();
    format!("{} {} {}", at.day(), name(at), at.year())
}

/// Writes the days of a month: `1 – 30 Nov 2026`.
pub(crate) fn period(month: Month) -> String {
    let last = month.end().before(Span::from_micros(1)).to_chrono();
    format!("1 – {} {} {}", month.days(), name(last), last.year())
}

/// The UTC date for the document's metadata; years before 0 and after 9999 do not occur.
pub(crate) fn metadata(at: Timestamp) -> PdfDateTime {
    let at = at.to_chrono();
    let small = |number: u32| u8::try_from(number).unwrap_or(1);
    PdfDateTime::new(u16::try_from(at.year()).unwrap_or(0))
        .month(small(at.month()))
        .day(small(at.day()))
        .hour(0)
        .minute(0)
        .second(0)
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_dates_and_periods() {
        assert_eq!(date("2026-12-03T23:59:59Z".parse().unwrap()), "3 Dec 2026");
        assert_eq!(period("2024-02".parse().unwrap()), "1 – 29 Feb 2024");
        assert_eq!(period("2026-12".parse().unwrap()), "1 – 31 Dec 2026");
    }
}
