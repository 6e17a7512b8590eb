//! The key with which a source proves its requests.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use values::{Secret, Source};

use crate::text::{is_key_id, key_from_base64, random_key, to_base64};
use crate::{Algorithm, Proof, Stamp, canonical_bytes};

/// Why something is not a key. The text shows nothing of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A key id of other characters, or none.
    #[error("a key id has 1 to 64 letters, digits, `_` and `-`")]
    KeyId,
    /// Not 32 bytes of base64url.
    #[error("a key is 32 bytes, written as 43 characters of base64url without padding")]
    Bytes,
    /// Not a public key for Ed25519.
    #[error("a public key is written ed25519:BASE64URL; `main-worker keys show` prints it")]
    Ed25519Public,
    /// Not a public key for sealing.
    #[error("a sealing key is written x25519:KEY_ID:BASE64URL; `main-worker keys show` prints it")]
    SealingPublic,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes for a new key; try again")]
    NoRandomness,
}

enum Signer {
    Mac(Box<hmac::Key>),
    Ed25519(Ed25519KeyPair),
}

/// A source's key for making proofs: a shared secret or an Ed25519 pair, bound to one source.
pub struct SigningKey {
    id: String,
    source: Source,
    signer: Signer,
}

impl SigningKey {
    /// Takes a key from its id, its source and its 32 secret bytes: the MAC's secret, or the seed
    /// of the Ed25519 pair.
    ///
    /// # Errors
    /// `KeyId`; `Bytes` if the library refuses the seed.
    pub fn new(
        algorithm: Algorithm,
        id: &str,
        source: Source,
        secret: &Secret<[u8; 32]>,
    ) -> Result<Self, KeyError> {
        if !is_key_id(id) {
            return Err(KeyError::KeyId);
        }
        let signer = match algorithm {
            Algorithm::Mac => {
                Signer::Mac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.expose())))
            }
            Algorithm::Ed25519 => Signer::Ed25519(ed25519_pair(secret)?),
        };
        Ok(Self { id: id.to_owned(), source, signer })
    }

    /// Takes a key whose secret is written as base64url, as key files have it.
    ///
    /// # Errors
    /// `KeyId` or `Bytes`.
    pub fn from_text(
        algorithm: Algorithm,
        id: &str,
        source: Source,
        secret: &Secret<String>,
    ) -> Result<Self, KeyError> {
        let secret = key_from_base64(secret.expose()).ok_or(KeyError::Bytes)?;
        Self::new(algorithm, id, source, &Secret::new(secret))
    }

    /// Makes a secret for a new key.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn generate_secret() -> Result<Secret<[u8; 32]>, KeyError> {
        random_key().ok_or(KeyError::NoRandomness)
    }

    /// The id that proofs name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The source this key proves.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// How this key proves.
    pub fn algorithm(&self) -> Algorithm {
        match self.signer {
            Signer::Mac(_) => Algorithm::Mac,
            Signer::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// The text a worker checks this key's proofs with, `ed25519:BASE64URL`; `None` for a MAC.
    pub fn public_text(&self) -> Option<String> {
        match &self.signer {
            Signer::Mac(_) => None,
            Signer::Ed25519(pair) => {
                Some(format!("ed25519:{}", to_base64(pair.public_key().as_ref())))
            }
        }
    }

    /// Proves that this key's source asks for the job under this stamp.
    ///
    /// `configuration` and `payload` are the bytes of the JSON as they will be sent.
    pub fn prove(
        &self,
        stamp: &Stamp,
        job_name: &str,
        configuration: &[u8],
        payload: &[u8],
    ) -> Proof {
        let message =
            canonical_bytes(stamp, self.source.as_str(), job_name, configuration, payload);
        let bytes = match &self.signer {
            Signer::Mac(key) => hmac::sign(key, &message).as_ref().to_vec(),
            Signer::Ed25519(pair) => pair.sign(&message).as_ref().to_vec(),
        };
        Proof { key_id: self.id.clone(), algorithm: self.algorithm(), bytes }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {}, {}, [redacted])", self.id, self.source, self.algorithm())
    }
}

fn ed25519_pair(seed: &Secret<[u8; 32]>) -> Result<Ed25519KeyPair, KeyError> {
    Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| KeyError::Bytes)
}

/// Computes the public key of an Ed25519 seed.
pub(crate) fn ed25519_public(seed: &Secret<[u8; 32]>) -> Result<[u8; 32], KeyError> {
    let pair = ed25519_pair(seed)?;
    pair.public_key().as_ref().try_into().map_err(|_| KeyError::Bytes)
}
