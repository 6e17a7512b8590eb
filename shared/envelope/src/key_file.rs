//! The file with a worker's keys: what is in it and what can be done with it.
//!
//! Version 1 is a JSON object. Secrets and private keys are 32 bytes of base64url; `secret` is
//! absent where the source alone holds the key. Proof keys have ids of their own across sources.
//!
//! ```json
//! { "version": 1,
//!   "proof": [{ "id": "2026-10", "source": "operator", "algorithm": "mac", "secret": "...",
//!               "createdAt": "2026-10-01T00:00:00Z", "expiresAt": "...", "revokedAt": "..." },
//!             { "id": "api-1", "source": "api", "algorithm": "ed25519", "secret": "...",
//!               "public": "ed25519:...", "createdAt": "2026-10-01T00:00:00Z" }],
//!   "sealing": [{ "id": "seal-1", "private": "...", "public": "x25519:seal-1:...",
//!                 "createdAt": "2026-10-01T00:00:00Z", "retiredAt": "..." }] }
//! ```

mod entry;
mod operations;
mod read;
mod view;

use values::{Secret, Source, Timestamp};

use crate::{EnvelopeError, KeyError, KeyRing, SealingPublicKey, SealingRing, SigningKey};
use entry::{ProofEntry, SealingEntry};
pub use view::{ProofKeyView, PublicView, SealingKeyView};

/// The version of key files this program reads and writes.
pub const KEY_FILE_VERSION: u32 = 1;

/// How many keys of each kind a file may hold.
const MOST_KEYS: usize = 1_000;

/// Why a key file is not taken, or cannot be changed as asked. No text shows a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// The text is no JSON.
    #[error("the key file cannot be read: {0}")]
    NotJson(EnvelopeError),
    /// Something in the file is wrong; all of it is listed.
    #[error("the key file is wrong:\n- {}", problems.join("\n- "))]
    Wrong {
        /// One line per problem: where, what, and what would be right.
        problems: Vec<String>,
    },
    /// A new key cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The id belongs to another key.
    #[error("there is a key with the id `{id}` already; choose another id")]
    TakenId {
        /// The id.
        id: String,
    },
    /// The file is full.
    #[error("the file holds {MOST_KEYS} keys of this kind; remove those no task needs")]
    Full,
    /// No proof key has the id.
    #[error("there is no proof key `{id}`{}", hint(suggestion.as_deref()))]
    UnknownId {
        /// The id (at most 60 characters).
        id: String,
        /// The id that was probably meant.
        suggestion: Option<String>,
    },
    /// The source has no key.
    #[error("the source `{name}` has no key to rotate; add one first")]
    NoKey {
        /// The source.
        name: Source,
    },
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(
        || "; `main-worker keys show` lists them".to_owned(),
        |id| format!("; did you mean `{id}`?"),
    )
}

/// A worker's keys: those that prove and check, and those that open sealed configuration.
#[derive(Debug, Clone, Default)]
pub struct KeyFile {
    proof: Vec<ProofEntry>,
    sealing: Vec<SealingEntry>,
}

impl KeyFile {
    /// Reads a key file.
    ///
    /// # Errors
    /// `NotJson`, or `Wrong` with everything that is wrong in it.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        read::key_file(text)
    }

    /// Writes the file, secrets and all; only for the file itself.
    pub fn to_json(&self) -> Secret<String> {
        view::full_text(self)
    }

    /// Lists the keys without their secrets, in the order they were added.
    pub fn public_view(&self) -> PublicView {
        view::public_view(self)
    }

    /// Collects the keys that check proofs.
    pub fn ring(&self) -> KeyRing {
        let keys = self.proof.iter().map(ProofEntry::checking_key).collect();
        KeyRing::new(keys).expect("ids in a key file are distinct")
    }

    /// Finds the newest key with which this worker may prove `source` now: not revoked, not
    /// expired, and with its secret in the file.
    pub fn signing_key(&self, source: &Source, now: Timestamp) -> Option<SigningKey> {
        let usable = self.proof.iter().filter(|key| key.source == *source && key.is_good(now));
        let newest = usable.filter(|key| key.material.secret().is_some());
        newest.max_by_key(|key| key.created_at).and_then(ProofEntry::signing_key)
    }

    /// Copies a proof key's secret as text, to hand it to its source; `None` if the file has none.
    pub fn secret_text(&self, id: &str) -> Option<Secret<String>> {
        self.proof.iter().find(|key| key.id == id)?.secret_text()
    }

    /// Collects the keys that open sealed configuration, retired ones too.
    pub fn sealing_ring(&self) -> SealingRing {
        SealingRing::new(self.sealing.iter().map(|entry| entry.key.clone()))
    }

    /// Finds the key that new configuration is sealed to: the newest that is not retired.
    pub fn newest_sealing_public(&self) -> Option<SealingPublicKey> {
        let current = self.sealing.iter().filter(|entry| entry.retired_at.is_none());
        current.max_by_key(|entry| entry.created_at).map(|entry| entry.key.public().clone())
    }
}

#[cfg(test)]
mod tests;
