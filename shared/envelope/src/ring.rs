//! The keys with which proofs are checked, and the check.

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use values::{Secret, Source, Span, Timestamp};

use crate::text::{is_key_id, key_from_base64, shown};
use crate::{Algorithm, KeyError, Proof, Stamp, canonical_bytes};

/// How far a source's clock may be ahead of the worker's.
pub const CLOCK_SKEW: Span = Span::from_minutes(5);

/// Where a proof is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A task comes in: its key must be good now, and the proof not from the future.
    Enqueue,
    /// A task is about to run: its key must have been good when the proof was made, so that tasks
    /// already waiting outlive a rotation. A revoked key is good for nothing.
    Dispatch,
}

/// Why a proof is not taken. The text says what to do and shows nothing of any key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// No proof came with the envelope.
    #[error("there is no proof; enqueue through the scheduling library with the source's key")]
    Missing,
    /// No source has this key.
    #[error(
        "the key `{key_id}` is unknown; give the worker its public part, or prove with another"
    )]
    UnknownKey {
        /// The id the proof names (at most 60 characters).
        key_id: String,
    },
    /// The key belongs to someone else.
    #[error("the key `{key_id}` does not prove `{claimed}`; use a key of that source")]
    WrongSource {
        /// The id the proof names (at most 60 characters).
        key_id: String,
        /// The source the envelope names (at most 60 characters).
        claimed: String,
    },
    /// The key was withdrawn.
    #[error("the key is revoked; prove again with a key that is not")]
    Revoked,
    /// The key's time was over.
    #[error("the key has expired; prove again with the source's newest key")]
    Expired,
    /// The proof was made in the future.
    #[error("the proof is issued more than 5m ahead of this clock; set the source's clock right")]
    NotYetIssued,
    /// The proof's own time is over.
    #[error("the time in which this task could start is over; enqueue it again")]
    TooOld,
    /// The proof does not belong to this request.
    #[error("the proof does not belong to this request; something was altered after it was made")]
    Altered,
}

impl ProofError {
    /// The stable word for this kind of error, for metrics and tests: `missing`, `altered` ...
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::UnknownKey { .. } => "unknown_key",
            Self::WrongSource { .. } => "wrong_source",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::NotYetIssued => "not_yet_issued",
            Self::TooOld => "too_old",
            Self::Altered => "altered",
        }
    }
}

enum Verifier {
    Mac(Box<hmac::Key>),
    Ed25519(ParsedPublicKey),
}

/// A key for checking the proofs of one source.
pub struct ProofKey {
    /// The id that proofs name; the same id may be used by several sources.
    pub id: String,
    /// The source whose proofs it checks.
    pub source: Source,
    /// The last instant at which proofs made with it are taken.
    pub expires_at: Option<Timestamp>,
    /// From when on nothing proven with it is taken.
    pub revoked_at: Option<Timestamp>,
    verifier: Verifier,
}

impl ProofKey {
    /// Takes a MAC's secret.
    ///
    /// # Errors
    /// `KeyId`.
    pub fn mac(id: &str, source: Source, secret: &Secret<[u8; 32]>) -> Result<Self, KeyError> {
        let verifier = Verifier::Mac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.expose())));
        Self::new(id, source, verifier)
    }

    /// Takes an Ed25519 public key, written `ed25519:BASE64URL`.
    ///
    /// # Errors
    /// `KeyId` or `Ed25519Public`.
    pub fn ed25519(id: &str, source: Source, public: &str) -> Result<Self, KeyError> {
        let bytes = ed25519_public_from_text(public).ok_or(KeyError::Ed25519Public)?;
        let key = ParsedPublicKey::new(&ED25519, bytes).map_err(|_| KeyError::Ed25519Public)?;
        Self::new(id, source, Verifier::Ed25519(key))
    }

    fn new(id: &str, source: Source, verifier: Verifier) -> Result<Self, KeyError> {
        if !is_key_id(id) {
            return Err(KeyError::KeyId);
        }
        Ok(Self { id: id.to_owned(), source, expires_at: None, revoked_at: None, verifier })
    }

    /// How this key proves.
    pub fn algorithm(&self) -> Algorithm {
        match self.verifier {
            Verifier::Mac(_) => Algorithm::Mac,
            Verifier::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    fn belongs(&self, message: &[u8], proof: &Proof) -> bool {
        // Both comparisons take the same time wherever the bytes differ.
        match (&self.verifier, proof.algorithm) {
            (Verifier::Mac(key), Algorithm::Mac) => {
                hmac::verify(key, message, &proof.bytes).is_ok()
            }
            (Verifier::Ed25519(key), Algorithm::Ed25519) => {
                key.verify_sig(message, &proof.bytes).is_ok()
            }
            (Verifier::Mac(_), Algorithm::Ed25519) | (Verifier::Ed25519(_), Algorithm::Mac) => {
                false
            }
        }
    }

    fn check_time(&self, door: Door, now: Timestamp, stamp: &Stamp) -> Result<(), ProofError> {
        if now > stamp.not_after {
            return Err(ProofError::TooOld);
        }
        let judged_at = match door {
            Door::Enqueue if stamp.issued_at > now.after(CLOCK_SKEW) => {
                return Err(ProofError::NotYetIssued);
            }
            Door::Enqueue => now.max(stamp.issued_at),
            Door::Dispatch => stamp.issued_at,
        };
        match self.expires_at {
            Some(expires_at) if judged_at > expires_at => Err(ProofError::Expired),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofKey")
            .field("id", &self.id)
            .field("source", &self.source)
            .field("algorithm", &self.algorithm())
            .field("expires_at", &self.expires_at)
            .field("revoked_at", &self.revoked_at)
            .finish_non_exhaustive()
    }
}

/// A source has two keys with one id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the source `{source_name}` has two keys with the id `{id}`; rename one of them")]
pub struct TakenKeyId {
    /// The id.
    pub id: String,
    /// The source.
    pub source_name: Source,
}

/// All keys a worker checks proofs with.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: HashMap<String, Vec<ProofKey>>,
}

impl KeyRing {
    /// Takes keys; an id may appear once per source.
    ///
    /// # Errors
    /// [`TakenKeyId`] for the first id a source has twice.
    pub fn new(keys: Vec<ProofKey>) -> Result<Self, TakenKeyId> {
        let mut ring = Self::default();
        for key in keys {
            ring.add(key)?;
        }
        Ok(ring)
    }

    /// Adds a key.
    ///
    /// # Errors
    /// [`TakenKeyId`] if the source has a key with this id.
    pub fn add(&mut self, key: ProofKey) -> Result<(), TakenKeyId> {
        let same_id = self.keys.entry(key.id.clone()).or_default();
        if same_id.iter().any(|other| other.source == key.source) {
            return Err(TakenKeyId { id: key.id, source_name: key.source });
        }
        same_id.push(key);
        Ok(())
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Checks that the source asked for exactly this, in time, with a key that is good.
    ///
    /// `configuration` and `payload` are the bytes of the JSON as received. Times of the stamp are
    /// judged only once the proof is known to belong to it, so `TooOld`, `NotYetIssued` and
    /// `Expired` are about genuine requests.
    ///
    /// # Errors
    /// As the variants of [`ProofError`] say.
    #[expect(clippy::too_many_arguments, reason = "each is proven or decides, none has a default")]
    pub fn verify(
        &self,
        door: Door,
        now: Timestamp,
        stamp: &Stamp,
        source: &str,
        job_name: &str,
        configuration: &[u8],
        payload: &[u8],
        proof: Option<&Proof>,
    ) -> Result<(), ProofError> {
        let proof = proof.ok_or(ProofError::Missing)?;
        let key = self.find(&proof.key_id, source)?;
        if key.revoked_at.is_some_and(|revoked_at| revoked_at <= now) {
            return Err(ProofError::Revoked);
        }
        let message = canonical_bytes(stamp, source, job_name, configuration, payload);
        if !key.belongs(&message, proof) {
            return Err(ProofError::Altered);
        }
        key.check_time(door, now, stamp)
    }

    fn find(&self, key_id: &str, source: &str) -> Result<&ProofKey, ProofError> {
        let Some(same_id) = self.keys.get(key_id) else {
            return Err(ProofError::UnknownKey { key_id: shown(key_id) });
        };
        let of_source = same_id.iter().find(|key| key.source.as_str() == source);
        of_source.ok_or_else(|| ProofError::WrongSource {
            key_id: shown(key_id),
            claimed: shown(source),
        })
    }
}

/// Reads `ed25519:BASE64URL`.
pub(crate) fn ed25519_public_from_text(text: &str) -> Option<[u8; 32]> {
    key_from_base64(text.strip_prefix("ed25519:")?)
}
