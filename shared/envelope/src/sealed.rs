//! The text form of a sealed section of configuration.

use std::fmt;
use std::str::FromStr;

use crate::RawJson;
use crate::text::{from_base64, is_key_id, key_from_base64, to_base64};

/// What every sealed section begins with, whatever its version.
const PREFIX: &str = "sealed:";

/// Why a section cannot be sealed or opened. The text shows nothing of the section or any key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not the form of a sealed section.
    #[error("a sealed section is a string: sealed:v1:KEY_ID:BASE64URL:BASE64URL")]
    Malformed,
    /// A version of sealing this program does not know.
    #[error("this version of sealed sections is unknown, it takes v1; update the worker")]
    Version,
    /// No private key has this id.
    #[error("no key `{key_id}` opens the section; seal it to the worker's newest public key")]
    UnknownKey {
        /// The id the section names.
        key_id: String,
    },
    /// The section was sealed for something else, or altered.
    #[error(
        "the section does not open: it was sealed for another source, job, section or key, or altered; seal it again"
    )]
    Refused,
    /// The section is longer than is taken.
    #[error("the section has {bytes} bytes, at most {max} are sealed; shorten it")]
    TooLarge {
        /// How many bytes there are.
        bytes: usize,
        /// How many are taken.
        max: usize,
    },
    /// The library refused to seal to this key.
    #[error("nothing can be sealed to this public key; ask the worker for it again")]
    UnusableKey,
}

/// A sealed section: which key opens it, and the box.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSection {
    /// The id of the key that opens it.
    pub key_id: String,
    pub(crate) encapsulated: [u8; 32],
    pub(crate) ciphertext: Vec<u8>,
}

impl SealedSection {
    /// Reads a section of a configuration: `None` if it is not a string that begins `sealed:`.
    ///
    /// # Errors
    /// `Malformed` or `Version`.
    pub fn from_json(raw: &RawJson) -> Result<Option<Self>, SealError> {
        if !raw.as_str().starts_with('"') {
            return Ok(None);
        }
        let text: String = serde_json::from_str(raw.as_str()).map_err(|_| SealError::Malformed)?;
        if text.starts_with(PREFIX) { text.parse().map(Some) } else { Ok(None) }
    }
}

/// Tells whether a section of a configuration is sealed, and to which key.
///
/// A string that begins `sealed:` but is broken is not; [`SealedSection::from_json`] says why.
pub fn is_sealed(raw: &RawJson) -> Option<SealedSection> {
    SealedSection::from_json(raw).ok().flatten()
}

impl fmt::Display for SealedSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key_id, encapsulated, ciphertext } = self;
        let (encapsulated, ciphertext) = (to_base64(encapsulated), to_base64(ciphertext));
        write!(f, "{PREFIX}v1:{key_id}:{encapsulated}:{ciphertext}")
    }
}

impl fmt::Debug for SealedSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSection({}, [{} bytes])", self.key_id, self.ciphertext.len())
    }
}

impl FromStr for SealedSection {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let mut parts = text.strip_prefix(PREFIX).ok_or(SealError::Malformed)?.splitn(4, ':');
        let mut part = || parts.next().ok_or(SealError::Malformed);
        if part()? != "v1" {
            return Err(SealError::Version);
        }
        let (key_id, encapsulated, ciphertext) = (part()?, part()?, part()?);
        if !is_key_id(key_id) {
            return Err(SealError::Malformed);
        }
        Ok(Self {
            key_id: key_id.to_owned(),
            encapsulated: key_from_base64(encapsulated).ok_or(SealError::Malformed)?,
            ciphertext: from_base64(ciphertext).ok_or(SealError::Malformed)?,
        })
    }
}
