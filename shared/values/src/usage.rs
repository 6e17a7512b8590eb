//! What is metered.

use std::fmt;
use std::str::FromStr;

use crate::text::as_text;

/// What was watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsageKind {
    /// Live playback over RTMP.
    Fms,
    /// Live playback over HTTP.
    Hls,
    /// Playback of a recording.
    Vod,
}

/// The text names no kind of usage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a kind of usage; expected `fms`, `hls` or `vod`")]
pub struct UsageKindError {
    /// What was found (at most 40 characters).
    pub found: String,
}

impl UsageKind {
    /// Every kind, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Fms, Self::Hls, Self::Vod];

    /// The word used in JSON and on the screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fms => "fms",
            Self::Hls => "hls",
            Self::Vod => "vod",
        }
    }

    /// The number stored in tables, 1 to 3.
    pub const fn code(self) -> i64 {
        match self {
            Self::Fms => 1,
            Self::Hls => 2,
            Self::Vod => 3,
        }
    }

    /// The kind that is stored as `code`.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl fmt::Display for UsageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for UsageKind {
    type Err = UsageKindError;

    fn from_str(text: &str) -> Result<Self, UsageKindError> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| UsageKindError { found: text.chars().take(40).collect() })
    }
}

as_text!(UsageKind);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_read_what_they_print_and_store() {
        for (kind, word, code) in
            [(UsageKind::Fms, "fms", 1), (UsageKind::Hls, "hls", 2), (UsageKind::Vod, "vod", 3)]
        {
            assert_eq!((kind.to_string().as_str(), kind.code()), (word, code));
            assert_eq!(word.parse(), Ok(kind));
            assert_eq!(UsageKind::from_code(code), Some(kind));
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{word}\""));
            assert_eq!(serde_json::from_str::<UsageKind>(&json).unwrap(), kind);
        }
        assert_eq!((UsageKind::from_code(0), UsageKind::from_code(4)), (None, None));
        let error = "HLS".parse::<UsageKind>().unwrap_err().to_string();
        assert_eq!(error, "`HLS` is not a kind of usage; expected `fms`, `hls` or `vod`");
    }
}
