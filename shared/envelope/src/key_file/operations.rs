//! What `main-worker keys` does to a key file.

use values::{Source, Span, Timestamp, did_you_mean};

use super::entry::{Material, ProofEntry, SealingEntry};
use super::{KeyFile, KeyFileError, MOST_KEYS};
use crate::ring::ed25519_public_from_text;
use crate::signing::ed25519_public;
use crate::text::{is_key_id, shown};
use crate::{Algorithm, KeyError, ProofKey, SealingKey, SigningKey};

impl KeyFile {
    /// Makes a new key for a source and adds it.
    ///
    /// # Errors
    /// `TakenId`, `Full` or `Key`.
    pub fn add_proof_key(
        &mut self,
        source: &Source,
        algorithm: Algorithm,
        id: &str,
        now: Timestamp,
    ) -> Result<(), KeyFileError> {
        self.check_new_proof_id(id)?;
        let secret = SigningKey::generate_secret()?;
        let material = match algorithm {
            Algorithm::Mac => Material::Mac(secret),
            Algorithm::Ed25519 => {
                let public = ed25519_public(&secret)?;
                Material::Ed25519 { seed: Some(secret), public }
            }
        };
        self.push_proof_key(source, material, id, now);
        Ok(())
    }

    /// Adds the public part, `ed25519:BASE64URL`, of a key that only its source holds.
    ///
    /// # Errors
    /// `TakenId`, `Full` or `Key`.
    pub fn add_public_key(
        &mut self,
        source: &Source,
        public: &str,
        id: &str,
        now: Timestamp,
    ) -> Result<(), KeyFileError> {
        self.check_new_proof_id(id)?;
        ProofKey::ed25519(id, source.clone(), public)?;
        let public = ed25519_public_from_text(public).ok_or(KeyError::Ed25519Public)?;
        self.push_proof_key(source, Material::Ed25519 { seed: None, public }, id, now);
        Ok(())
    }

    /// Replaces a source's keys by a new one of the newest key's algorithm. The old ones are taken
    /// for `overlap` more, or until they expire if that is sooner; waiting tasks keep running.
    ///
    /// # Errors
    /// `NoKey`, `TakenId`, `Full` or `Key`; then nothing has changed.
    pub fn rotate(
        &mut self,
        source: &Source,
        id: &str,
        now: Timestamp,
        overlap: Span,
    ) -> Result<(), KeyFileError> {
        let of_source = self.proof.iter().filter(|key| key.source == *source);
        let newest = of_source.max_by_key(|key| key.created_at);
        let newest = newest.ok_or_else(|| KeyFileError::NoKey { name: source.clone() })?;
        self.add_proof_key(source, newest.material.algorithm(), id, now)?;
        let end = now.after(overlap);
        for key in &mut self.proof {
            if key.source == *source && key.id != id {
                key.expires_at = Some(key.expires_at.map_or(end, |at| at.min(end)));
            }
        }
        Ok(())
    }

    /// Withdraws a proof key at once: waiting tasks it proves will be refused. A key that was
    /// revoked before keeps its time.
    ///
    /// # Errors
    /// `UnknownId`.
    pub fn revoke(&mut self, id: &str, now: Timestamp) -> Result<(), KeyFileError> {
        if let Some(key) = self.proof.iter_mut().find(|key| key.id == id) {
            key.revoked_at = Some(key.revoked_at.map_or(now, |at| at.min(now)));
            return Ok(());
        }
        let ids = self.proof.iter().map(|key| key.id.as_str());
        let suggestion = did_you_mean(id, ids).map(str::to_owned);
        Err(KeyFileError::UnknownId { id: shown(id), suggestion })
    }

    /// Makes a new key for sealing and retires the others, which go on opening.
    ///
    /// # Errors
    /// `TakenId`, `Full` or `Key`; then nothing has changed.
    pub fn rotate_sealing(&mut self, id: &str, now: Timestamp) -> Result<(), KeyFileError> {
        if self.sealing.iter().any(|entry| entry.key.id() == id) {
            return Err(KeyFileError::TakenId { id: id.to_owned() });
        }
        if self.sealing.len() >= MOST_KEYS {
            return Err(KeyFileError::Full);
        }
        let key = SealingKey::generate(id)?;
        for old in &mut self.sealing {
            old.retired_at.get_or_insert(now);
        }
        self.sealing.push(SealingEntry { key, created_at: now, retired_at: None });
        Ok(())
    }

    fn check_new_proof_id(&self, id: &str) -> Result<(), KeyFileError> {
        if !is_key_id(id) {
            return Err(KeyError::KeyId.into());
        }
        if self.proof.iter().any(|key| key.id == id) {
            return Err(KeyFileError::TakenId { id: id.to_owned() });
        }
        if self.proof.len() >= MOST_KEYS { Err(KeyFileError::Full) } else { Ok(()) }
    }

    fn push_proof_key(&mut self, source: &Source, material: Material, id: &str, now: Timestamp) {
        self.proof.push(ProofEntry {
            id: id.to_owned(),
            source: source.clone(),
            material,
            created_at: now,
            expires_at: None,
            revoked_at: None,
        });
    }
}
