//! Stretches of the wall clock that a zone runs through twice.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset as _, TimeZone as _};
use chrono_tz::Tz;
use values::Timestamp;

/// A stretch that the clocks repeat because they were put back.
#[derive(Debug)]
pub(super) struct Fold {
    /// The first wall clock that is repeated.
    pub(super) start: NaiveDateTime,
    /// The wall clock at which the clocks were put back, the first one that is not repeated.
    pub(super) end: NaiveDateTime,
    /// When the second pass begins.
    pub(super) switch: Timestamp,
}

impl Fold {
    /// Finds the fold a wall clock lies in, if it lies in one.
    pub(super) fn around(zone: Tz, wall: NaiveDateTime) -> Option<Self> {
        let MappedLocalTime::Ambiguous(one, other) = zone.from_local_datetime(&wall) else {
            return None;
        };
        let (first, second) = (one.min(other), one.max(other));
        let before = first.offset().fix().local_minus_utc();
        let offset_at = |seconds| {
            let at = DateTime::from_timestamp(seconds, 0)?;
            let offset = zone.offset_from_utc_datetime(&at.naive_utc());
            Some(offset.fix().local_minus_utc())
        };
        let (mut low, mut high) = (first.timestamp(), second.timestamp());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if offset_at(middle)? == before {
                low = middle;
            } else {
                high = middle;
            }
        }
        let after = offset_at(high)?;
        let wall_at = |offset: i32| {
            let at = DateTime::from_timestamp(high + i64::from(offset), 0)?;
            Some(at.naive_utc())
        };
        Some(Self {
            start: wall_at(after)?,
            end: wall_at(before)?,
            switch: Timestamp::from_seconds(high),
        })
    }
}
