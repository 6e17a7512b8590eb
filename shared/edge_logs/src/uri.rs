//! Streams in paths: what a URL of a segment, a recording or a broadcast is named after.

use memchr::{memchr, memrchr};

/// Digits of the time in milliseconds that ends a segment's name.
const SEGMENT_TIME_DIGITS: usize = 13;
/// Digits that may end a recording's name, after an underscore.
const RECORDING_SUFFIX_DIGITS: usize = 4;
/// Hexadecimal digits of a project's public key, the folder of its recordings.
const PUBLIC_KEY_DIGITS: usize = 32;

/// What a CloudFront path names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Media<'a> {
    /// A segment of the live stream of this name.
    Segment(&'a [u8]),
    /// A recording of this name, not yet cut.
    Recording(&'a [u8]),
}

/// Reads a CloudFront path by its ending.
#[inline]
pub(crate) fn media(path: &[u8]) -> Option<Media<'_>> {
    let file = last_part(path);
    if let Some(base) = file.strip_suffix(b".ts") {
        segment_stream(base).map(Media::Segment)
    } else {
        recording(file).map(Media::Recording)
    }
}

/// Cuts `-` and the 13 digits of a time from a segment's base name.
#[inline]
fn segment_stream(base: &[u8]) -> Option<&[u8]> {
    let (head, digits) = base.split_last_chunk::<SEGMENT_TIME_DIGITS>()?;
    let name = head.strip_suffix(b"-")?;
    (!name.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some(name)
}

/// Takes a recording's name up to the first dot; `None` if the file is no MP4.
fn recording(file: &[u8]) -> Option<&[u8]> {
    let base = file.strip_suffix(b".mp4")?;
    let name = &base[..memchr(b'.', base).unwrap_or(base.len())];
    (!name.is_empty()).then_some(name)
}

/// Cuts `_` and exactly four digits from the end of a recording's name, if that leaves a name.
pub(crate) fn without_suffix(name: &str) -> Option<&str> {
    let (head, digits) = name.as_bytes().split_last_chunk::<RECORDING_SUFFIX_DIGITS>()?;
    let cut = head.strip_suffix(b"_")?;
    (!cut.is_empty() && digits.iter().all(u8::is_ascii_digit)).then(|| &name[..cut.len()])
}

/// What an EdgeCast HTTP path names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Folders<'a> {
    /// The folder above the stream's; the only one, if there is only one.
    pub(crate) instance: &'a [u8],
    /// The folder of the file, if there are two.
    pub(crate) stream: Option<&'a [u8]>,
    /// A recording's name, if the file is an MP4 in the folder of a project's public key.
    pub(crate) recording: Option<&'a [u8]>,
}

/// Reads the last two folders of an EdgeCast HTTP URL; `None` if the file is in no folder.
pub(crate) fn folders(url: &[u8]) -> Option<Folders<'_>> {
    let (above, file) = split_last(path(without_query(url)))?;
    let (higher, stream) = split_last(above).unwrap_or((b"", above));
    if higher.is_empty() {
        return (!stream.is_empty()).then_some(Folders {
            instance: stream,
            stream: None,
            recording: None,
        });
    }
    let in_project = stream.len() == PUBLIC_KEY_DIGITS && stream.iter().all(u8::is_ascii_hexdigit);
    Some(Folders {
        instance: last_part(higher),
        stream: (!stream.is_empty()).then_some(stream),
        recording: if in_project { recording(file) } else { None },
    })
}

/// Takes the last folder of an RTMP URL, with or without a slash behind it.
pub(crate) fn last_folder(url: &[u8]) -> Option<&[u8]> {
    let path = path(without_query(url));
    let folder = last_part(path.strip_suffix(b"/").unwrap_or(path));
    (!folder.is_empty()).then_some(folder)
}

/// Cuts the query, which may hold what nobody else should see.
pub(crate) fn without_query(url: &[u8]) -> &[u8] {
    &url[..memchr(b'?', url).unwrap_or(url.len())]
}

/// Cuts scheme and host from a URL; a bare path stays as it is.
fn path(url: &[u8]) -> &[u8] {
    let colon = memchr(b':', url).unwrap_or(url.len());
    let Some(rest) = url[colon..].strip_prefix(b"://") else {
        return url;
    };
    memchr(b'/', rest).map_or(b"", |slash| &rest[slash..])
}

fn last_part(path: &[u8]) -> &[u8] {
    memrchr(b'/', path).map_or(path, |slash| &path[slash + 1..])
}

fn split_last(path: &[u8]) -> Option<(&[u8], &[u8])> {
    memrchr(b'/', path).map(|slash| (&path[..slash], &path[slash + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_named_after_stream_and_time() {
        let check = |path: &str, expected: Option<&str>| {
            let expected = expected.map(|name| Media::Segment(name.as_bytes()));
            assert_eq!(media(path.as_bytes()), expected, "{path}");
        };
        check("/hls/ab-cd-1416857182993.ts", Some("ab-cd"));
        check("ab-1416857182993-1416857182993.ts", Some("ab-1416857182993"));
        check("/hls/a_1234-1416857182993.ts", Some("a_1234"));
        for path in [
            "/hls/ab.ts",
            "/hls/ab-123.ts",
            "/hls/ab-14168571829930.ts",
            "/hls/ab-141685718299x.ts",
            "/hls/ab1416857182993.ts",
            "/hls/-1416857182993.ts",
            "/hls/ab-1416857182993.TS",
            "/hls/ab.m3u8",
            "/crossdomain.xml",
            "/",
            "",
            ".ts",
        ] {
            check(path, None);
        }
    }

    #[test]
    fn recordings_are_named_up_to_the_first_dot() {
        let check = |path: &str, exact: &str, cut: Option<&str>| {
            let expected = Media::Recording(exact.as_bytes());
            assert_eq!(media(path.as_bytes()), Some(expected), "{path}");
            assert_eq!(without_suffix(exact), cut, "{path}");
        };
        check("/cines/key/abc.mp4", "abc", None);
        check("/cines/key/abc.3.mp4", "abc", None);
        check("/cines/key/abc_1234.mp4", "abc_1234", Some("abc"));
        check("/cines/key/abc_1234_5678.mp4", "abc_1234_5678", Some("abc_1234"));
        check("/cines/key/abc.1412521527733_4694.mp4", "abc", None);
        check("/cines/key/abc_123.mp4", "abc_123", None);
        check("/cines/key/abc_12345.mp4", "abc_12345", None);
        check("_1234.mp4", "_1234", None);
        for path in ["/cines/key/.mp4", "/cines/key/abc.flv", "/cines/abc.mp4/"] {
            assert_eq!(media(path.as_bytes()), None, "{path}");
        }
        assert_eq!(without_suffix("\u{e9}_1234"), Some("\u{e9}"));
    }

    #[test]
    fn folders_are_instance_and_stream() {
        let check = |url: &str, instance: &str, stream: Option<&str>, recording: Option<&str>| {
            let expected = Folders {
                instance: instance.as_bytes(),
                stream: stream.map(str::as_bytes),
                recording: recording.map(str::as_bytes),
            };
            assert_eq!(folders(url.as_bytes()), Some(expected), "{url}");
        };
        let key = "0123456789abcdef0123456789abcdef";
        check("http://h.example/23C45E/cines/abc/1.ts", "cines", Some("abc"), None);
        check("http://h.example/23C45E/cines/abc/1.ts?a=/b/c", "cines", Some("abc"), None);
        check("http://h.example/20C45E/probe/x.bin", "20C45E", Some("probe"), None);
        check("http://h.example/20C45E/x.bin", "20C45E", None, None);
        check("/cines/abc/1.mp4", "cines", Some("abc"), None);
        let url = format!("http://h.example/20C45E/cines/{key}/abc.3.mp4");
        check(&url, "cines", Some(key), Some("abc"));
        for url in ["http://h.example/x.bin", "http://h.example", "/x.bin", "x.bin", "", "-"] {
            assert_eq!(folders(url.as_bytes()), None, "{url}");
        }
    }

    #[test]
    fn the_last_folder_may_end_in_a_slash() {
        let check = |url: &str, expected: Option<&str>| {
            assert_eq!(last_folder(url.as_bytes()), expected.map(str::as_bytes), "{url}");
        };
        check("rtmp://h.example/20C45E/i-name/", Some("i-name"));
        check("rtmp://h.example/20C45E/i-name", Some("i-name"));
        check("rtmp://h.example/20C45E/?t=/x/", Some("20C45E"));
        check("rtmp://h.example/", None);
        check("rtmp://h.example", None);
        check("", None);
    }
}
