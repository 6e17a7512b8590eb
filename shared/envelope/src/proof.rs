//! The text form of a proof.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::text::{from_base64, is_key_id, to_base64};

/// How a source proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// HMAC-SHA-256: whoever can check can also prove, so for sources the worker trusts with that.
    Mac,
    /// Ed25519: checked with a public key, so no one can prove for another source.
    Ed25519,
}

impl Algorithm {
    /// The word in proofs and key files: `mac` or `ed25519`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mac => "mac",
            Self::Ed25519 => "ed25519",
        }
    }

    /// Length of a proof in bytes.
    pub(crate) fn proof_len(self) -> usize {
        match self {
            Self::Mac => 32,
            Self::Ed25519 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = ProofTextError;

    fn from_str(text: &str) -> Result<Self, ProofTextError> {
        match text {
            "mac" => Ok(Self::Mac),
            "ed25519" => Ok(Self::Ed25519),
            _ => Err(ProofTextError::Algorithm),
        }
    }
}

/// Why a text is not a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofTextError {
    /// Not four parts with dots between them.
    #[error("a proof is four parts with dots between: v1.ALGORITHM.KEY_ID.BASE64URL")]
    Parts,
    /// A version of proofs this program does not know.
    #[error("this version of proofs is unknown, it takes v1; update this program or the source's")]
    Version,
    /// Neither `mac` nor `ed25519`.
    #[error("the algorithm is mac or ed25519")]
    Algorithm,
    /// A key id of other characters, or none.
    #[error("a key id has 1 to 64 letters, digits, `_` and `-`")]
    KeyId,
    /// Not base64url, or not of the length the algorithm has.
    #[error("the last part is base64url without padding, of 32 bytes for mac, 64 for ed25519")]
    Bytes,
}

/// What a source adds to its envelope to show that it asked. Written `v1.mac.KEY_ID.BASE64URL`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proof {
    /// The source's key, by its id.
    pub key_id: String,
    /// How the proof was made.
    pub algorithm: Algorithm,
    /// The MAC (32 bytes) or signature (64 bytes) over the canonical bytes.
    pub bytes: Vec<u8>,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}.{}.{}", self.algorithm, self.key_id, to_base64(&self.bytes))
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proof({}, {:?}, [{} bytes])", self.algorithm, self.key_id, self.bytes.len())
    }
}

impl FromStr for Proof {
    type Err = ProofTextError;

    fn from_str(text: &str) -> Result<Self, ProofTextError> {
        let mut parts = text.splitn(4, '.');
        let mut part = || parts.next().ok_or(ProofTextError::Parts);
        let (version, algorithm, key_id, bytes) = (part()?, part()?, part()?, part()?);
        if version != "v1" {
            return Err(ProofTextError::Version);
        }
        let algorithm: Algorithm = algorithm.parse()?;
        if !is_key_id(key_id) {
            return Err(ProofTextError::KeyId);
        }
        let bytes = from_base64(bytes).filter(|bytes| bytes.len() == algorithm.proof_len());
        let bytes = bytes.ok_or(ProofTextError::Bytes)?;
        Ok(Self { key_id: key_id.to_owned(), algorithm, bytes })
    }
}

impl Serialize for Proof {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Proof {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_back() {
        let check = |algorithm: Algorithm, head: &str| {
            let bytes = vec![0xFB; algorithm.proof_len()];
            let proof = Proof { key_id: "2026-10".to_owned(), algorithm, bytes };
            let text = proof.to_string();
            assert!(text.starts_with(head), "{text}");
            assert_eq!(text.parse(), Ok(proof.clone()));
            let json = serde_json::to_string(&proof).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Proof>(&json).unwrap(), proof);
        };
        check(Algorithm::Mac, "v1.mac.2026-10.-_v7");
        check(Algorithm::Ed25519, "v1.ed25519.2026-10.-_v7");
    }

    #[test]
    fn says_which_part_is_wrong() {
        let mac = "A".repeat(43);
        let check = |text: &str, expected| {
            assert_eq!(text.parse::<Proof>(), Err(expected), "{text}");
        };
        check("", ProofTextError::Parts);
        check("v1.mac.k", ProofTextError::Parts);
        check(&format!("v2.mac.k.{mac}"), ProofTextError::Version);
        check(&format!("v1.none.k.{mac}"), ProofTextError::Algorithm);
        check(&format!("v1.MAC.k.{mac}"), ProofTextError::Algorithm);
        check(&format!("v1.mac..{mac}"), ProofTextError::KeyId);
        check(&format!("v1.mac.k/1.{mac}"), ProofTextError::KeyId);
        check("v1.mac.k.", ProofTextError::Bytes);
        check(&format!("v1.mac.k.{mac}="), ProofTextError::Bytes);
        check(&format!("v1.mac.k.{mac}.{mac}"), ProofTextError::Bytes);
        check(&format!("v1.ed25519.k.{mac}"), ProofTextError::Bytes);
    }
}
