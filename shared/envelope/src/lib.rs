//! What asks for work: the envelope, the proof of its source and its sealed configuration.
//!
//! Three things live here, each tested without a service:
//!
//! - [`Envelope`] reads the four keys from any bytes and keeps configuration and payload as text,
//!   byte for byte, because the proof covers those bytes.
//! - [`Stamp`] and [`Proof`] bind an envelope to a task id, its times and its source;
//!   [`SigningKey`] makes proofs and [`KeyRing`] checks them.
//! - [`SealingPublicKey`] seals a section of the configuration for the worker, which opens it with
//!   a [`SealingRing`]. [`KeyFile`] is the file that holds a worker's keys.
//!
//! Pure: there is no clock, network or environment in here. New keys take random bytes from the
//! cryptography provider.

mod canonical;
mod envelope;
mod error;
mod key_file;
mod proof;
mod raw;
mod ring;
mod scan;
mod sealed;
mod sealing;
mod signing;
mod text;

pub use canonical::{CANONICAL_VERSION, Stamp, canonical_bytes};
pub use envelope::{Envelope, Limits};
pub use error::EnvelopeError;
pub use key_file::{
    KEY_FILE_VERSION, KeyFile, KeyFileError, ProofKeyView, PublicView, SealingKeyView,
};
pub use proof::{Algorithm, Proof, ProofTextError};
pub use raw::RawJson;
pub use ring::{CLOCK_SKEW, Door, KeyRing, ProofError, ProofKey, TakenKeyId};
pub use sealed::{SealError, SealedSection, is_sealed};
pub use sealing::{LONGEST_SECTION, SealingKey, SealingPublicKey, SealingRing};
pub use signing::{KeyError, SigningKey};
pub use text::{LONGEST_KEY_ID, is_key_id};
