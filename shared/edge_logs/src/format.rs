//! Which networks and file formats are read.

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
}
