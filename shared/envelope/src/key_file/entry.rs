//! The keys of a key file.

use values::{Secret, Source, Timestamp};

use crate::text::to_base64;
use crate::{Algorithm, ProofKey, SealingKey, SigningKey};

/// What a proof key consists of.
#[derive(Debug, Clone)]
pub(super) enum Material {
    Mac(Secret<[u8; 32]>),
    Ed25519 {
        /// Absent where only the source can prove.
        seed: Option<Secret<[u8; 32]>>,
        public: [u8; 32],
    },
}

impl Material {
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Mac(_) => Algorithm::Mac,
            Self::Ed25519 { .. } => Algorithm::Ed25519,
        }
    }

    pub(super) fn secret(&self) -> Option<&Secret<[u8; 32]>> {
        match self {
            Self::Mac(secret) => Some(secret),
            Self::Ed25519 { seed, public: _ } => seed.as_ref(),
        }
    }
}

/// A key of one source. Its id and material have been checked.
#[derive(Debug, Clone)]
pub(super) struct ProofEntry {
    pub(super) id: String,
    pub(super) source: Source,
    pub(super) material: Material,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) revoked_at: Option<Timestamp>,
}

impl ProofEntry {
    /// Whether proofs may be made with it now.
    pub(super) fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none_or(|at| at > now) && self.expires_at.is_none_or(|at| at >= now)
    }

    pub(super) fn public_text(&self) -> Option<String> {
        match &self.material {
            Material::Mac(_) => None,
            Material::Ed25519 { seed: _, public } => Some(format!("ed25519:{}", to_base64(public))),
        }
    }

    pub(super) fn secret_text(&self) -> Option<Secret<String>> {
        self.material.secret().map(|secret| Secret::new(to_base64(secret.expose())))
    }

    pub(super) fn checking_key(&self) -> ProofKey {
        let source = self.source.clone();
        let key = match &self.material {
            Material::Mac(secret) => ProofKey::mac(&self.id, source, secret),
            Material::Ed25519 { .. } => {
                let public = self.public_text().unwrap_or_default();
                ProofKey::ed25519(&self.id, source, &public)
            }
        };
        let mut key = key.expect("ids and keys are checked when they enter the file");
        key.expires_at = self.expires_at;
        key.revoked_at = self.revoked_at;
        key
    }

    pub(super) fn signing_key(&self) -> Option<SigningKey> {
        let (algorithm, source) = (self.material.algorithm(), self.source.clone());
        let secret = self.material.secret()?;
        let key = SigningKey::new(algorithm, &self.id, source, secret);
        Some(key.expect("ids and keys are checked when they enter the file"))
    }
}

/// A key that opens sealed configuration.
#[derive(Debug, Clone)]
pub(super) struct SealingEntry {
    pub(super) key: SealingKey,
    pub(super) created_at: Timestamp,
    /// From when on nothing new is sealed to it; it still opens.
    pub(super) retired_at: Option<Timestamp>,
}
