//! Sealing of configuration: RFC 9180 HPKE in base mode.
//!
//! The suite is DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM. A section opens only for the
//! source, job and section it was sealed for (they are the `info` of HPKE) and under the id of the
//! key it was sealed to (its `aad`).

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::agreement;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_128;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use values::Secret;

use crate::text::{is_key_id, key_from_base64, random_key, shown, to_base64};
use crate::{KeyError, SealError, SealedSection};

/// The longest section that is sealed or opened, in bytes: 256 KiB.
pub const LONGEST_SECTION: usize = 256 << 10;

/// What AES-128-GCM adds to the plaintext.
const TAG_LEN: usize = 16;

/// The first part of `info`: the purpose and its version.
const PURPOSE: &str = "main-worker sealed configuration v1";

static SUITE: &dyn Hpke = DH_KEM_X25519_HKDF_SHA256_AES_128;

/// The worker's key that configuration is sealed to. Written `x25519:KEY_ID:BASE64URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealingPublicKey {
    id: String,
    bytes: [u8; 32],
}

impl SealingPublicKey {
    /// The id that sealed sections name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The 32 bytes of the key.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Seals a section for the worker, for this source and job only.
    ///
    /// The result is the text that stands in the configuration instead of the section's object;
    /// it may be used for any number of tasks. The same plaintext gives another text each time.
    ///
    /// # Errors
    /// `TooLarge`, or `UnusableKey` if the public key is no point of the curve's main group.
    pub fn seal(
        &self,
        source: &str,
        job_name: &str,
        section: &str,
        plaintext: &[u8],
    ) -> Result<String, SealError> {
        check_length(plaintext.len())?;
        let public = HpkePublicKey(self.bytes.to_vec());
        let info = info(source, job_name, section);
        let (encapsulated, ciphertext) = SUITE
            .seal(&info, self.id.as_bytes(), plaintext, &public)
            .map_err(|_| SealError::UnusableKey)?;
        let encapsulated = encapsulated.0.try_into().map_err(|_| SealError::UnusableKey)?;
        Ok(SealedSection { key_id: self.id.clone(), encapsulated, ciphertext }.to_string())
    }
}

impl fmt::Display for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x25519:{}:{}", self.id, to_base64(&self.bytes))
    }
}

impl FromStr for SealingPublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix("x25519:").ok_or(KeyError::SealingPublic)?;
        let (id, bytes) = rest.split_once(':').ok_or(KeyError::SealingPublic)?;
        if !is_key_id(id) {
            return Err(KeyError::KeyId);
        }
        let bytes = key_from_base64(bytes).ok_or(KeyError::SealingPublic)?;
        Ok(Self { id: id.to_owned(), bytes })
    }
}

/// The worker's private key for opening sealed configuration.
#[derive(Debug, Clone)]
pub struct SealingKey {
    public: SealingPublicKey,
    private: Secret<[u8; 32]>,
}

impl SealingKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// `KeyId` or `NoRandomness`.
    pub fn generate(id: &str) -> Result<Self, KeyError> {
        Self::new(id, random_key().ok_or(KeyError::NoRandomness)?)
    }

    /// Takes the 32 bytes of a private key; any 32 bytes are one.
    ///
    /// # Errors
    /// `KeyId`; `Bytes` if the library refuses the key.
    pub fn new(id: &str, private: Secret<[u8; 32]>) -> Result<Self, KeyError> {
        if !is_key_id(id) {
            return Err(KeyError::KeyId);
        }
        let key = agreement::PrivateKey::from_private_key(&agreement::X25519, private.expose());
        let public = key.and_then(|key| Ok(key.compute_public_key()?));
        let public = public.map_err(|_| KeyError::Bytes)?;
        let bytes = public.as_ref().try_into().map_err(|_| KeyError::Bytes)?;
        Ok(Self { public: SealingPublicKey { id: id.to_owned(), bytes }, private })
    }

    /// Takes a private key written as base64url, as key files have it.
    ///
    /// # Errors
    /// `KeyId` or `Bytes`.
    pub fn from_text(id: &str, private: &Secret<String>) -> Result<Self, KeyError> {
        let private = key_from_base64(private.expose()).ok_or(KeyError::Bytes)?;
        Self::new(id, Secret::new(private))
    }

    /// Writes the private key as base64url.
    pub fn to_text(&self) -> Secret<String> {
        Secret::new(to_base64(self.private.expose()))
    }

    /// The id that sealed sections name.
    pub fn id(&self) -> &str {
        &self.public.id
    }

    /// The key to give to whoever seals.
    pub fn public(&self) -> &SealingPublicKey {
        &self.public
    }

    /// Opens a section that was sealed to this key for this source, job and section.
    ///
    /// # Errors
    /// `Malformed`, `Version`, `TooLarge`, `UnknownKey` if it names another key, or `Refused`.
    pub fn open(
        &self,
        source: &str,
        job_name: &str,
        section: &str,
        sealed: &str,
    ) -> Result<Secret<Vec<u8>>, SealError> {
        let sealed: SealedSection = sealed.parse()?;
        if sealed.key_id != self.id() {
            return Err(SealError::UnknownKey { key_id: shown(&sealed.key_id) });
        }
        self.open_section(source, job_name, section, sealed)
    }

    fn open_section(
        &self,
        source: &str,
        job_name: &str,
        section: &str,
        sealed: SealedSection,
    ) -> Result<Secret<Vec<u8>>, SealError> {
        let SealedSection { key_id, encapsulated, ciphertext } = sealed;
        check_length(ciphertext.len().saturating_sub(TAG_LEN))?;
        let encapsulated = EncapsulatedSecret(encapsulated.to_vec());
        let info = info(source, job_name, section);
        let private = HpkePrivateKey::from(self.private.expose().to_vec());
        let opened = SUITE.open(&encapsulated, &info, key_id.as_bytes(), &ciphertext, &private);
        opened.map(Secret::new).map_err(|_| SealError::Refused)
    }
}

/// All private keys of a worker; old ones stay while a waiting task names them.
#[derive(Debug, Clone, Default)]
pub struct SealingRing {
    keys: HashMap<String, SealingKey>,
}

impl SealingRing {
    /// Takes keys; of two with one id the later counts.
    pub fn new(keys: impl IntoIterator<Item = SealingKey>) -> Self {
        Self { keys: keys.into_iter().map(|key| (key.id().to_owned(), key)).collect() }
    }

    /// Whether a section that names this key can be opened.
    pub fn holds(&self, key_id: &str) -> bool {
        self.keys.contains_key(key_id)
    }

    /// Opens a section with the key it names, as [`SealingKey::open`] does.
    ///
    /// # Errors
    /// Those of [`SealingKey::open`]; `UnknownKey` if no key has the id.
    pub fn open(
        &self,
        source: &str,
        job_name: &str,
        section: &str,
        sealed: &str,
    ) -> Result<Secret<Vec<u8>>, SealError> {
        let sealed: SealedSection = sealed.parse()?;
        match self.keys.get(&sealed.key_id) {
            Some(key) => key.open_section(source, job_name, section, sealed),
            None => Err(SealError::UnknownKey { key_id: shown(&sealed.key_id) }),
        }
    }
}

fn check_length(bytes: usize) -> Result<(), SealError> {
    let max = LONGEST_SECTION;
    if bytes > max { Err(SealError::TooLarge { bytes, max }) } else { Ok(()) }
}

/// The purpose, source, job and section, each after its length in 8 bytes.
fn info(source: &str, job_name: &str, section: &str) -> Vec<u8> {
    let mut info = Vec::new();
    for part in [PURPOSE, source, job_name, section] {
        info.extend_from_slice(&(part.len() as u64).to_be_bytes());
        info.extend_from_slice(part.as_bytes());
    }
    info
}

#[cfg(test)]
mod tests;
