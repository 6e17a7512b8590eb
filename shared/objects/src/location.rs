//! Where objects are, as one line of text.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use values::did_you_mean;

use crate::percent;

const OPTIONS: [&str; 3] = ["endpoint", "region", "path_style"];
const SHOWN_CHARS_MAX: usize = 60;

/// A folder or a part of an S3 bucket.
///
/// Read from and printed as text: a path (`/var/log/edge`, `edge`, `folder:edge`) or
/// `s3://BUCKET/PREFIX` with the options `endpoint` (an `http` or `https` address), `region` and
/// `path_style` (`true` or `false`): `s3://logs/edge?endpoint=http://127.0.0.1:9000`. The prefix
/// is a folder in the bucket: `s3://logs/edge` holds `edge/a` and not `edges/a`. In `s3:`
/// locations a `?`, `#`, `%` or space of the prefix is written `%XX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(pub(crate) Place);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Folder(PathBuf),
    Bucket(BucketPlace),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BucketPlace {
    pub(crate) bucket: String,
    /// Without slashes at either end; empty for the whole bucket.
    pub(crate) prefix: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) path_style: Option<bool>,
}

/// Why a text is not a location. Never contains the value of an option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a location: {0}")]
pub struct LocationError(String);

impl Location {
    /// The location of a folder.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self(Place::Folder(path.into()))
    }

    /// The location of what lies below a folder of this one.
    ///
    /// # Errors
    /// If `folder` is not a relative path of plain names.
    pub fn below(&self, folder: &str) -> Result<Self, LocationError> {
        if let Some(problem) = crate::key::problem(folder) {
            return Err(LocationError(format!("the folder below cannot be used: {problem}")));
        }
        Ok(Self(match &self.0 {
            Place::Folder(path) => Place::Folder(path.join(folder)),
            Place::Bucket(bucket) => {
                let prefix = format!("{}/{folder}", bucket.prefix);
                let prefix = prefix.trim_start_matches('/').to_owned();
                Place::Bucket(BucketPlace { prefix, ..bucket.clone() })
            }
        }))
    }

    /// The path, if this is a folder.
    pub fn as_folder(&self) -> Option<&Path> {
        match &self.0 {
            Place::Folder(path) => Some(path),
            Place::Bucket(_) => None,
        }
    }

    /// The location without its options, as errors and logs show it.
    pub fn place(&self) -> String {
        match &self.0 {
            Place::Folder(path) => path.display().to_string(),
            Place::Bucket(BucketPlace { bucket, prefix, .. }) if prefix.is_empty() => {
                format!("s3://{bucket}")
            }
            Place::Bucket(BucketPlace { bucket, prefix, .. }) => {
                format!("s3://{bucket}/{}", percent::encode(prefix, is_plain_in_prefix))
            }
        }
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if text.contains('\0') {
            return Err(LocationError("it contains a NUL byte".to_owned()));
        }
        let path = match text.split_once(':') {
            Some(("folder", path)) => path,
            Some(("s3", rest)) => return Ok(Self(Place::Bucket(bucket(rest)?))),
            Some((scheme, rest)) if rest.starts_with("//") => return Err(unknown_scheme(scheme)),
            Some(_) | None => text,
        };
        if path.is_empty() {
            let problem = "it is empty; write a folder's path or s3://BUCKET/PREFIX";
            return Err(LocationError(problem.to_owned()));
        }
        Ok(Self::folder(path))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        let BucketPlace { bucket: _, prefix: _, endpoint, region, path_style } = match &self.0 {
            Place::Folder(_) if place.contains(':') => return write!(f, "folder:{place}"),
            Place::Folder(_) => return f.write_str(&place),
            Place::Bucket(bucket) => bucket,
        };
        f.write_str(&place)?;
        let values = [endpoint.clone(), region.clone(), path_style.map(|yes| yes.to_string())];
        let mut mark = '?';
        for (name, value) in OPTIONS.iter().zip(values) {
            if let Some(value) = value {
                write!(f, "{mark}{name}={}", percent::encode(&value, is_plain_in_value))?;
                mark = '&';
            }
        }
        Ok(())
    }
}

fn bucket(rest: &str) -> Result<BucketPlace, LocationError> {
    let error = |problem: &str| Err(LocationError(problem.to_owned()));
    let Some(rest) = rest.strip_prefix("//") else {
        return error("write S3 as s3://BUCKET/PREFIX");
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.contains('@') && !path.split('/').next().is_some_and(is_bucket) {
        return error("credentials do not belong in it; give them in the configuration");
    }
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    if !is_bucket(bucket) {
        return error("the bucket's name takes 3 to 63 letters, digits, `.`, `-` and `_`");
    }
    let Some(prefix) = percent::decode(prefix) else {
        return error("the prefix has a `%` that is not followed by two digits; write it as %25");
    };
    let prefix = prefix.trim_matches('/');
    if let Some(problem) = crate::key::problem(prefix).filter(|_| !prefix.is_empty()) {
        return Err(LocationError(format!("the prefix cannot be used: {problem}")));
    }
    let mut place = BucketPlace {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        endpoint: None,
        region: None,
        path_style: None,
    };
    for option in query.split('&').filter(|option| !option.is_empty()) {
        place.set(option)?;
    }
    Ok(place)
}

impl BucketPlace {
    fn set(&mut self, option: &str) -> Result<(), LocationError> {
        let error = |problem: String| Err(LocationError(problem));
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if !OPTIONS.contains(&name) {
            return error(unknown_option(name));
        }
        let Some(value) = percent::decode(value).filter(|value| !value.is_empty()) else {
            return error(format!("the option `{name}` has no value, or a bad %XX in it"));
        };
        let is_new = match name {
            "endpoint" if !is_endpoint(&value) => {
                return error("`endpoint` takes http://HOST:PORT or https://HOST, no more".into());
            }
            "endpoint" => self.endpoint.replace(value).is_none(),
            "region" if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
                return error("`region` takes letters, digits and `-`, as in eu-west-1".into());
            }
            "region" => self.region.replace(value).is_none(),
            _ => match value.parse() {
                Ok(path_style) => self.path_style.replace(path_style).is_none(),
                Err(_) => return error("`path_style` takes true or false".into()),
            },
        };
        if is_new { Ok(()) } else { error(format!("the option `{name}` is given twice")) }
    }
}

fn unknown_scheme(scheme: &str) -> LocationError {
    let hint = did_you_mean(scheme, ["s3", "folder"])
        .map_or_else(String::new, |right| format!(" (did you mean `{right}`?)"));
    let scheme: String = scheme.chars().take(SHOWN_CHARS_MAX).collect();
    LocationError(format!(
        "`{scheme}` is not a kind of storage{hint}; write a folder's path or s3://BUCKET/PREFIX"
    ))
}

fn unknown_option(name: &str) -> String {
    // What does not look like an option's name may be a secret in the wrong place.
    let is_name = name.len() <= 20 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    match did_you_mean(name, OPTIONS) {
        Some(right) if is_name => format!("there is no option `{name}`; did you mean `{right}`?"),
        _ if is_name => format!("there is no option `{name}`; choose from {}", OPTIONS.join(", ")),
        _ => format!("it has an option that does not exist; choose from {}", OPTIONS.join(", ")),
    }
}

fn is_bucket(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !name.contains("..")
        && !name.starts_with('.')
}

/// Takes a bare address: a path, query or user in it is a mistake or a leak.
fn is_endpoint(value: &str) -> bool {
    let host = value.strip_prefix("http://").or_else(|| value.strip_prefix("https://"));
    host.map(|host| host.strip_suffix('/').unwrap_or(host)).is_some_and(|host| {
        !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:[]".contains(&b))
    })
}

fn is_plain_in_prefix(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"%?#".contains(&byte)
}

fn is_plain_in_value(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"%&#".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_folders_and_buckets_and_prints_them_again() {
        let check = |text: &str, printed: &str, place: &str| {
            let location: Location = text.parse().unwrap();
            assert_eq!(
                (location.to_string().as_str(), location.place().as_str()),
                (printed, place)
            );
            assert_eq!(printed.parse(), Ok(location));
        };
        check("/var/log", "/var/log", "/var/log");
        check("logs/edge", "logs/edge", "logs/edge");
        check("folder:logs", "logs", "logs");
        check("folder:s3://x", "folder:s3://x", "s3://x");
        check("a:b", "folder:a:b", "a:b");
        check("s3://logs", "s3://logs", "s3://logs");
        check("s3://logs/a/b/", "s3://logs/a/b", "s3://logs/a/b");
        check("s3://logs/a%20b%3F", "s3://logs/a%20b%3F", "s3://logs/a%20b%3F");
        check(
            "s3://logs/a?region=eu-west-1&path_style=true&endpoint=http://127.0.0.1:9000",
            "s3://logs/a?endpoint=http://127.0.0.1:9000&region=eu-west-1&path_style=true",
            "s3://logs/a",
        );
    }

    #[test]
    fn says_what_is_wrong_and_what_would_be_right() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("", "write a folder's path");
        check("folder:", "write a folder's path");
        check("s4://logs", "`s4` is not a kind of storage; write a folder's path");
        check("foldr://logs", "did you mean `folder`?");
        check("http://logs", "`http` is not a kind of storage");
        check("s3:logs", "write S3 as s3://");
        check("s3://", "3 to 63");
        check("s3://a", "3 to 63");
        check("s3://logs/../x", "`.` or `..`");
        check("s3://logs/%zz", "%25");
        check("s3://logs?regin=x", "did you mean `region`?");
        check("s3://logs?colour=x", "choose from endpoint, region, path_style");
        check("s3://logs?region=", "no value");
        check("s3://logs?region=a&region=b", "twice");
        check("s3://logs?endpoint=127.0.0.1:9000", "http://HOST:PORT");
        check("s3://logs?path_style=yes", "true or false");
        check("a\0b", "NUL");
    }

    #[test]
    fn repeats_nothing_that_may_be_a_secret() {
        for text in [
            "s3://AKIA123:canary@logs/x",
            "s3://logs?endpoint=http://user:canary@host",
            "s3://logs?canaryCANARY/123",
            "s3://logs?endpoint=http://host/?token=canary",
            "s3://logs?region=canary!",
        ] {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(!error.to_lowercase().contains("canary"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_back_or_refused(text in ".*|s3://[a-z?=&%/:.]{0,40}|folder:.*") {
            if let Ok(location) = text.parse::<Location>() {
                prop_assert_eq!(location.to_string().parse(), Ok(location));
            }
        }
    }
}
