//! Which texts name objects: the same ones in a folder and on S3.

use crate::ObjectError;

/// The longest key, in bytes of UTF-8: S3's limit.
pub const KEY_BYTES_MAX: usize = 1024;
/// The longest name between two slashes: what common file systems take.
const NAME_BYTES_MAX: usize = 255;
const SHOWN_CHARS_MAX: usize = 200;
/// Names of files that are being written; listings leave them out.
const PART_PREFIX: &str = ".main-worker-";
const PART_SUFFIX: &str = ".part";

/// Checks that `key` names an object: a relative path of plain names with `/` between them.
pub(crate) fn check(key: &str) -> Result<(), ObjectError> {
    match problem(key) {
        None => Ok(()),
        Some(reason) => Err(bad(key, reason)),
    }
}

/// Says what keeps `key` from naming an object, if anything does.
pub(crate) fn problem(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("it is empty");
    }
    if key.len() > KEY_BYTES_MAX {
        return Some("it is longer than 1024 bytes");
    }
    if key.chars().any(char::is_control) {
        return Some("it contains a control character");
    }
    if key.starts_with('/') {
        return Some("it begins with `/`; keys are relative to the location");
    }
    key.split('/').find_map(|name| match name {
        "" => Some("it contains an empty name"),
        "." | ".." => Some("it contains `.` or `..`"),
        _ if name.len() > NAME_BYTES_MAX => Some("it contains a name longer than 255 bytes"),
        _ if is_part(name) => Some("it contains a name of an unfinished upload"),
        _ => None,
    })
}

/// Makes the error for a key that cannot be used.
pub(crate) fn bad(key: &str, reason: &'static str) -> ObjectError {
    ObjectError::BadKey { key: shown(key.as_bytes()), reason }
}

/// Makes any name fit to be shown on a line: control characters, backslashes and bytes that are not
/// UTF-8 are escaped, and what is too long is cut off.
pub(crate) fn shown(name: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in name[..name.len().min(4 * SHOWN_CHARS_MAX)].utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' {
                shown.extend(c.escape_default());
            } else {
                shown.push(c);
            }
        }
        shown.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    shown.chars().take(SHOWN_CHARS_MAX).collect()
}

/// Names a file that is being written.
pub(crate) fn part_name(process: u32, number: u64) -> String {
    format!("{PART_PREFIX}{process}-{number}{PART_SUFFIX}")
}

/// Tells whether a name is one of [`part_name`].
pub(crate) fn is_part(name: &str) -> bool {
    name.starts_with(PART_PREFIX) && name.ends_with(PART_SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_relative_paths_of_plain_names() {
        let long = ["x".repeat(255), "y".repeat(255), "z".repeat(255), "w".repeat(255)].join("/");
        for key in ["a", "a/b.gz", ".hidden", "...", "a b", "été/日本 +%&?#", "a..b", &long] {
            assert_eq!(problem(key), None, "{key}");
        }
    }

    #[test]
    fn refuses_what_could_lead_elsewhere() {
        let long = "x/".repeat(512) + "x";
        for key in [
            "",
            "/",
            "/etc/passwd",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            "a/.",
            "a\0b",
            "a\nb",
            "a\u{85}b",
            &long,
            &"x".repeat(256),
            &part_name(1, 2),
            "a/.main-worker-1-2.part/b",
        ] {
            assert!(problem(key).is_some(), "{key:?}");
        }
    }

    #[test]
    fn shows_any_name_on_one_line() {
        let check = |name: &[u8], expected: &str| assert_eq!(shown(name), expected);
        check("été.gz".as_bytes(), "été.gz");
        check(b"a\xffb\xe9.gz", "a\\xffb\\xe9.gz");
        check(b"a\n\x1b[2J\x00", "a\\n\\u{1b}[2J\\u{0}");
        check(b"a\\n", "a\\\\n");
        assert_eq!(shown(&[b'x'; 5_000]).len(), SHOWN_CHARS_MAX);
    }

    #[test]
    fn shows_a_bad_key_on_one_line_and_not_whole() {
        let error = check(&("a\nb".to_owned() + &"x".repeat(5000))).unwrap_err().to_string();
        assert!(error.starts_with("`a\\nbxxx") && error.len() < 300, "{error}");
    }
}
