//! Which networks and file formats are read, and the kinds of usage they hold.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The network a log source belongs to, as its `format` setting says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceFormat {
    /// Amazon CloudFront standard logs.
    CloudFront,
    /// EdgeCast logs, whose file name tells the type.
    EdgeCast,
}

/// How the lines of one file are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// CloudFront: HLS segments and recordings, told apart by the end of each path.
    CloudFront,
    /// EdgeCast Flash Media Server: RTMP playback.
    EdgecastFms,
    /// EdgeCast HTTP: HLS segments and recordings.
    EdgecastWpc,
}

/// What was watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageKind {
    /// Live playback over RTMP.
    Fms,
    /// Live playback over HTTP.
    Hls,
    /// Playback of a recording.
    Vod,
}

/// The file's name does not tell what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown type of EdgeCast log `{name}`; names begin with `fms` or `wpc`")]
pub struct UnknownLogType {
    /// The file's name without folders (at most 80 characters).
    pub name: String,
}

impl LogFormat {
    /// Tells a file's format from its source and its object key or file name.
    ///
    /// # Errors
    /// [`UnknownLogType`] for an EdgeCast file whose name begins with neither `fms` nor `wpc`.
    pub fn detect(source: SourceFormat, key: &str) -> Result<Self, UnknownLogType> {
        let name = key.rsplit('/').next().unwrap_or(key);
        match source {
            SourceFormat::CloudFront => Ok(Self::CloudFront),
            SourceFormat::EdgeCast if name.starts_with("fms") => Ok(Self::EdgecastFms),
            SourceFormat::EdgeCast if name.starts_with("wpc") => Ok(Self::EdgecastWpc),
            SourceFormat::EdgeCast => Err(UnknownLogType { name: name.chars().take(80).collect() }),
        }
    }
}

impl UsageKind {
    /// The word used in tables, JSON and on the screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fms => "fms",
            Self::Hls => "hls",
            Self::Vod => "vod",
        }
    }
}

impl fmt::Display for UsageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for UsageKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        [Self::Fms, Self::Hls, Self::Vod]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownKind(text.chars().take(40).collect()))
    }
}

/// The text names no kind of usage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of usage `{0}`; expected `fms`, `hls` or `vod`")]
pub struct UnknownKind(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_letters_of_an_edgecast_name_decide() {
        let detect = |key| LogFormat::detect(SourceFormat::EdgeCast, key);
        assert_eq!(detect("logs/fms_20141124.log.gz"), Ok(LogFormat::EdgecastFms));
        assert_eq!(detect("wpc_20141124.log.gz"), Ok(LogFormat::EdgecastWpc));
        let error = detect("fms/adn_20141124.log.gz").unwrap_err();
        assert_eq!(error.name, "adn_20141124.log.gz");
        assert!(detect("").is_err());
    }

    #[test]
    fn kinds_read_what_they_print() {
        for kind in [UsageKind::Fms, UsageKind::Hls, UsageKind::Vod] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("HLS".parse::<UsageKind>().is_err());
    }
}
