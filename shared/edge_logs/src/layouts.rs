//! The three layouts of lines, and in which order their values are judged.

use simdutf8::basic::from_utf8;
use values::Timestamp;

use crate::columns::Columns;
use crate::fields::{self, Dates};
use crate::uri::{self, Media};
use crate::{Entry, Fault, Options, Reason, Skip, UsageKind, Verdict};

/// Bytes of a stream or instance name; longer ones belong to no stream.
const MAX_NAME_BYTES: usize = 255;
/// Bytes that one line may say were served: 4 TiB, more than one request or session ever takes. A
/// larger number is damage, and would be billed.
const MAX_LINE_SERVED_BYTES: u64 = 1 << 42;
/// Seconds that one line may say were watched: a year.
const MAX_LINE_SECONDS: u64 = 366 * 86_400;
/// Columns of an EdgeCast HTTP line before the user agent, which may hold spaces.
const WPC_COLUMNS: usize = 13;

/// The columns of [`cloudfront`], in its order.
pub(crate) const CLOUDFRONT_COLUMNS: [&str; 4] = ["date", "time", "sc-bytes", "cs-uri-stem"];
/// The columns of [`fms`], in its order; the one that is billed comes behind them.
pub(crate) const FMS_COLUMNS: [&str; 6] =
    ["x-event", "date", "time", "x-duration", "cs-uri-stem", "x-sname"];

/// What a line counts for, or why it does not.
pub(crate) type Judged<'a> = Result<Entry<'a>, Verdict<'a>>;

/// CloudFront: columns by name, live segments and recordings by the end of the path.
#[inline]
pub(crate) fn cloudfront<'a>(columns: &Columns, dates: &mut Dates, line: &'a [u8]) -> Judged<'a> {
    let [date, time, sent, path] = columns.split(line).ok_or_else(cut_off)?;
    let (kind, stream) = match uri::media(path) {
        Some(Media::Segment(stream)) => (UsageKind::Hls, stream),
        Some(Media::Recording(stream)) => (UsageKind::Vod, stream),
        None => {
            let expected = "the path must end in `<stream>-<13 digits>.ts` or `<name>.mp4`";
            return Err(failed(Reason::UnknownUri, expected, uri::without_query(path)));
        }
    };
    Ok(Entry {
        kind,
        instance: None,
        name: name(stream)?,
        bytes: bytes(sent)?,
        at: instant(dates, date, time)?,
        seconds: None,
    })
}

/// EdgeCast FMS: columns by name; only the end of a playback counts.
pub(crate) fn fms<'a>(
    columns: &Columns,
    dates: &mut Dates,
    options: &Options,
    line: &'a [u8],
) -> Judged<'a> {
    let values = columns.split(line).ok_or_else(cut_off)?;
    let [event, date, time, duration, url, stream, sent] = values;
    if event != b"stop" {
        return Err(Verdict::Skipped(Skip::EventNotStop));
    }
    let instance = uri::last_folder(url).ok_or_else(|| {
        let expected = "the URL must name an instance as its last folder";
        failed(Reason::UnknownUri, expected, uri::without_query(url))
    })?;
    if is_reserved(options, instance) {
        return Err(Verdict::Skipped(Skip::ReservedInstance));
    }
    let seconds = fields::number_up_to(MAX_LINE_SECONDS, duration).ok_or_else(|| {
        let expected = "x-duration must be a whole number of seconds, at most a year";
        failed(Reason::Malformed, expected, duration)
    })?;
    Ok(Entry {
        kind: UsageKind::Fms,
        instance: Some(name(instance)?),
        name: name(stream)?,
        bytes: bytes(sent)?,
        at: instant(dates, date, time)?,
        seconds: Some(seconds),
    })
}

/// EdgeCast HTTP: columns by position, because agents hold spaces.
pub(crate) fn wpc<'a>(options: &Options, line: &'a [u8]) -> Judged<'a> {
    let mut columns = [&line[..0]; WPC_COLUMNS];
    let mut found = 0;
    for (column, value) in columns.iter_mut().zip(line.split(|&byte| byte == b' ')) {
        *column = value;
        found += 1;
    }
    if found < WPC_COLUMNS {
        let expected = "the line must have at least 13 columns; it may be cut off";
        return Err(failed(Reason::Malformed, expected, b""));
    }
    let bytes = bytes(columns[7])?;
    if bytes <= options.wpc_counted_above_bytes {
        return Err(Verdict::Skipped(Skip::BelowThreshold));
    }
    let url = columns[9];
    let folders = uri::folders(url).ok_or_else(|| unknown_folders(url))?;
    if is_reserved(options, folders.instance) {
        return Err(Verdict::Skipped(Skip::ReservedInstance));
    }
    let at = fields::epoch_seconds(columns[0]).ok_or_else(|| {
        let expected = "the timestamp must be seconds since 1970";
        failed(Reason::Malformed, expected, columns[0])
    })?;
    let (kind, instance, stream) = if let Some(recording) = folders.recording {
        (UsageKind::Vod, None, recording)
    } else {
        let stream = folders.stream.ok_or_else(|| unknown_folders(url))?;
        (UsageKind::Hls, Some(name(folders.instance)?), stream)
    };
    Ok(Entry { kind, instance, name: name(stream)?, bytes, at, seconds: None })
}

fn is_reserved(options: &Options, instance: &[u8]) -> bool {
    let mut reserved = options.reserved_instances.iter();
    reserved.any(|reserved| reserved.as_bytes() == instance)
}

#[inline]
fn bytes(text: &[u8]) -> Result<u64, Verdict<'_>> {
    fields::number_up_to(MAX_LINE_SERVED_BYTES, text).ok_or_else(|| {
        let expected = "the bytes sent must be a whole number up to 2^42";
        failed(Reason::Malformed, expected, text)
    })
}

#[inline]
fn instant<'a>(
    dates: &mut Dates,
    date: &'a [u8],
    time: &'a [u8],
) -> Result<Timestamp, Verdict<'a>> {
    dates.instant(date, time).ok_or_else(|| {
        let is_date_good = dates.instant(date, b"00:00:00").is_some();
        let (expected, found) = if is_date_good {
            ("the time must be written HH:MM:SS", time)
        } else {
            ("the date must exist and be written YYYY-MM-DD", date)
        };
        failed(Reason::Malformed, expected, found)
    })
}

#[inline]
fn name(text: &[u8]) -> Result<&str, Verdict<'_>> {
    if text.is_empty() || text.len() > MAX_NAME_BYTES {
        let expected = "a stream's name and instance must be 1 to 255 bytes long";
        return Err(failed(Reason::Malformed, expected, text));
    }
    from_utf8(text)
        .map_err(|_| failed(Reason::Malformed, "a stream's name and instance must be UTF-8", text))
}

#[cold]
fn unknown_folders(url: &[u8]) -> Verdict<'_> {
    let expected = "the URL must lead to a file in the folders `<instance>/<stream>/`";
    failed(Reason::UnknownUri, expected, uri::without_query(url))
}

#[cold]
fn cut_off<'a>() -> Verdict<'a> {
    let expected = "the line must have as many columns as `#Fields:` names; it may be cut off";
    failed(Reason::Malformed, expected, b"")
}

#[cold]
pub(crate) fn failed<'a>(reason: Reason, expected: &'static str, found: &'a [u8]) -> Verdict<'a> {
    Verdict::Failed(Fault { reason, expected, found })
}
