//! A key file as JSON, with and without its secrets.

use serde::Serialize;
use values::{Secret, Source, Timestamp};

use super::entry::{ProofEntry, SealingEntry};
use super::{KEY_FILE_VERSION, KeyFile};
use crate::Algorithm;

/// Room for one key in the written file, in bytes; more than it takes.
const BYTES_PER_KEY: usize = 1_024;

/// A key file without its secrets, as `main-worker keys show` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicView {
    /// The keys that prove, in the order they were added.
    pub proof: Vec<ProofKeyView>,
    /// The keys that open sealed configuration, in the order they were added.
    pub sealing: Vec<SealingKeyView>,
}

/// A proof key without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProofKeyView {
    /// The id that proofs name.
    pub id: String,
    /// The source it proves.
    pub source: Source,
    /// How it proves.
    pub algorithm: Algorithm,
    /// `ed25519:BASE64URL`, as `worker.toml` takes it; a MAC has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// The last instant at which proofs made with it are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// From when on nothing proven with it is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// A sealing key without its private part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SealingKeyView {
    /// The id that sealed sections name.
    pub id: String,
    /// `x25519:KEY_ID:BASE64URL`, for whoever seals.
    pub public: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// From when on nothing new is sealed to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct FullFile<'a> {
    version: u32,
    proof: Vec<FullProofKey<'a>>,
    sealing: Vec<FullSealingKey<'a>>,
}

#[derive(Serialize)]
struct FullProofKey<'a> {
    #[serde(flatten)]
    view: ProofKeyView,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

#[derive(Serialize)]
struct FullSealingKey<'a> {
    #[serde(flatten)]
    view: SealingKeyView,
    private: &'a str,
}

pub(super) fn public_view(file: &KeyFile) -> PublicView {
    PublicView {
        proof: file.proof.iter().map(proof_view).collect(),
        sealing: file.sealing.iter().map(sealing_view).collect(),
    }
}

pub(super) fn full_text(file: &KeyFile) -> Secret<String> {
    let secrets: Vec<_> = file.proof.iter().map(ProofEntry::secret_text).collect();
    let privates: Vec<_> = file.sealing.iter().map(|entry| entry.key.to_text()).collect();
    let full = FullFile {
        version: KEY_FILE_VERSION,
        proof: file.proof.iter().zip(&secrets).map(with_secret).collect(),
        sealing: file.sealing.iter().zip(&privates).map(with_private).collect(),
    };
    // Room for everything, so that no half of the text stays behind in freed memory.
    let keys = file.proof.len() + file.sealing.len();
    let mut text = Vec::with_capacity(BYTES_PER_KEY * (keys + 1));
    serde_json::to_writer_pretty(&mut text, &full).expect("a vector takes any text");
    text.push(b'\n');
    Secret::new(String::from_utf8(text).expect("JSON is UTF-8"))
}

fn with_secret<'a>((key, secret): (&ProofEntry, &'a Option<Secret<String>>)) -> FullProofKey<'a> {
    let secret = secret.as_ref().map(|secret| secret.expose().as_str());
    FullProofKey { view: proof_view(key), secret }
}

fn with_private<'a>((entry, private): (&SealingEntry, &'a Secret<String>)) -> FullSealingKey<'a> {
    FullSealingKey { view: sealing_view(entry), private: private.expose() }
}

fn proof_view(key: &ProofEntry) -> ProofKeyView {
    ProofKeyView {
        id: key.id.clone(),
        source: key.source.clone(),
        algorithm: key.material.algorithm(),
        public: key.public_text(),
        created_at: key.created_at,
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
    }
}

fn sealing_view(entry: &SealingEntry) -> SealingKeyView {
    SealingKeyView {
        id: entry.key.id().to_owned(),
        public: entry.key.public().to_string(),
        created_at: entry.created_at,
        retired_at: entry.retired_at,
    }
}
