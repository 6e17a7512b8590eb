//! The key that the API was handed.

use std::path::Path;

use anyhow::{Context, Result};
use envelope::{Algorithm, SealingPublicKey, SigningKey};
use serde::Deserialize;
use values::{Secret, Source};

/// What `main-worker keys make` writes for a source.
#[derive(Debug, Deserialize)]
struct KeyFile {
    id: String,
    source: Source,
    algorithm: Algorithm,
    secret: Secret<String>,
    sealing: Option<String>,
}

/// What a producer needs of it.
#[derive(Debug)]
pub(crate) struct ProducerKey {
    /// Proves that the API is the API.
    pub(crate) proof: SigningKey,
    /// Seals configuration to the worker.
    pub(crate) sealing: Option<SealingPublicKey>,
}

impl ProducerKey {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("cannot read {shown}; make it with: main-worker keys make --source api")
        })?;
        let text = Secret::new(text);
        let file: KeyFile = serde_json::from_str(text.expose())
            .with_context(|| format!("{shown} is not a key file"))?;
        let KeyFile { id, source, algorithm, secret, sealing } = file;
        let proof = SigningKey::from_text(algorithm, &id, source, &secret)
            .with_context(|| format!("{shown} holds no usable key"))?;
        let sealing = sealing.map(|text| text.parse()).transpose();
        Ok(Self { proof, sealing: sealing.with_context(|| format!("`sealing` of {shown}"))? })
    }
}
