//! Genuine requests and the keys that prove them.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use envelope::{Algorithm, Door, KeyRing, Proof, ProofError, ProofKey, SigningKey, Stamp};
use values::{Secret, Source, TaskId, Timestamp};

/// A request with its proof, as it could arrive.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) stamp: Stamp,
    pub(crate) source: String,
    pub(crate) job_name: String,
    pub(crate) configuration: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) proof: Option<Proof>,
}

impl Request {
    pub(crate) fn proven_with(key: &SigningKey) -> Self {
        let mut request = Self {
            stamp: Stamp {
                task_id: TaskId::from_bytes([
                    0x01, 0x92, 0xd3, 0xa4, 0xb5, 0xc6, 0x7d, 0x8e, 0x9f, 0xa0, 0xb1, 0xc2, 0xd3,
                    0xe4, 0xf5, 0x06,
                ]),
                issued_at: at("2026-11-01T00:00:00Z"),
                not_after: at("2026-11-02T00:00:00Z"),
                run_at: Some(at("2026-11-01T01:00:00Z")),
                priority: 2,
                max_attempts: 8,
                unique_key: Some("invoice:2026-10".to_owned()),
            },
            source: key.source().to_string(),
            job_name: "billing/invoice_account".to_owned(),
            configuration: br#"{"database":"sealed:v1:k:a:b"}"#.to_vec(),
            payload: br#"{"accountId":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","month":"2026-10"}"#
                .to_vec(),
            proof: None,
        };
        request.prove(key);
        request
    }

    pub(crate) fn prove(&mut self, key: &SigningKey) {
        let Self { stamp, job_name, configuration, payload, .. } = &*self;
        self.proof = Some(key.prove(stamp, job_name, configuration, payload));
    }

    pub(crate) fn check(
        &self,
        ring: &KeyRing,
        door: Door,
        now: Timestamp,
    ) -> Result<(), ProofError> {
        let Self { stamp, source, job_name, configuration, payload, proof } = self;
        let proof = proof.as_ref();
        ring.verify(door, now, stamp, source, job_name, configuration, payload, proof)
    }
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn noon() -> Timestamp {
    at("2026-11-01T12:00:00Z")
}

pub(crate) fn source(name: &str) -> Source {
    name.parse().unwrap()
}

pub(crate) fn secret(first: u8) -> Secret<[u8; 32]> {
    Secret::new(std::array::from_fn(|i| first.wrapping_add(u8::try_from(i).unwrap())))
}

pub(crate) fn signing(algorithm: Algorithm, id: &str, name: &str, first: u8) -> SigningKey {
    SigningKey::new(algorithm, id, source(name), &secret(first)).unwrap()
}

pub(crate) fn checking(key: &SigningKey, first: u8) -> ProofKey {
    match key.public_text() {
        Some(public) => ProofKey::ed25519(key.id(), key.source().clone(), &public).unwrap(),
        None => ProofKey::mac(key.id(), key.source().clone(), &secret(first)).unwrap(),
    }
}

/// Keys of two sources and both algorithms; ids repeat across sources.
pub(crate) fn keys() -> (Vec<SigningKey>, KeyRing) {
    let rows = [
        (Algorithm::Mac, "2026-10", "scheduler", 0),
        (Algorithm::Ed25519, "2026-10", "api", 2),
        (Algorithm::Mac, "2026-11", "scheduler", 1),
        (Algorithm::Ed25519, "2026-11", "api", 3),
    ];
    let signing: Vec<_> =
        rows.iter().map(|&(algorithm, id, name, n)| signing(algorithm, id, name, n)).collect();
    let checking = signing.iter().zip(rows).map(|(key, (_, _, _, n))| checking(key, n)).collect();
    (signing, KeyRing::new(checking).unwrap())
}
