//! How long it takes to read an envelope and to make and check its proof.
//!
//! Run with `cargo bench -p envelope --bench proof`; prints nanoseconds per call, the least of
//! several rounds, on one core.

use std::hint::black_box;
use std::io::{self, Write as _};
use std::time::Instant;

use envelope::{
    Algorithm, Door, Envelope, KeyRing, Limits, ProofKey, SealingKey, SigningKey, Stamp,
    canonical_bytes,
};
use values::{Secret, Source, Span, TaskId, Timestamp};

const ROUNDS: u32 = 9;
const ENVELOPE: &str = r#"{"configuration":{"database":"sealed:v1:2026-10:j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8:AAECAwQFBgcICQ"},"jobName":"billing/invoice_account","source":"api","jobPayload":{"accountId":"acct_01jd0c4x5ve_","month":"2026-10"}}"#;

fn main() -> io::Result<()> {
    let envelope = Envelope::parse(ENVELOPE.as_bytes(), &Limits::default())
        .expect("the sample is an envelope");
    let Envelope { configuration, job_name, source, job_payload } = &envelope;
    let (configuration, payload) = (configuration.as_bytes(), job_payload.as_bytes());
    let stamp = stamp();
    let limits = Limits::default();
    measure(&format!("parse {} bytes", ENVELOPE.len()), 20_000, || {
        Envelope::parse(black_box(ENVELOPE.as_bytes()), &limits)
    })?;
    measure("canonical bytes", 50_000, || {
        canonical_bytes(black_box(&stamp), source, job_name, configuration, payload)
    })?;
    for (algorithm, calls) in [(Algorithm::Mac, 50_000), (Algorithm::Ed25519, 1_000)] {
        let (key, ring) = keys(algorithm, source);
        let proof = key.prove(&stamp, job_name, configuration, payload);
        measure(&format!("{algorithm} prove"), calls, || {
            key.prove(black_box(&stamp), job_name, configuration, payload)
        })?;
        let now = stamp.issued_at;
        measure(&format!("{algorithm} verify"), calls, || {
            let stamp = black_box(&stamp);
            let proof = Some(&proof);
            ring.verify(
                Door::Dispatch,
                now,
                stamp,
                source,
                job_name,
                configuration,
                payload,
                proof,
            )
            .expect("the proof is genuine");
        })?;
    }
    let key = SealingKey::new("2026-10", Secret::new([7; 32])).expect("the key is well formed");
    let section = br#"{"url":"postgres://user:password@host/database"}"#;
    let sealed = key.public().seal(source, job_name, "database", section).expect("it seals");
    measure("seal a section", 500, || key.public().seal(source, job_name, "database", section))?;
    measure("open a section", 500, || key.open(source, job_name, "database", &sealed))
}

fn stamp() -> Stamp {
    let issued_at = Timestamp::from_seconds(1_793_491_200);
    Stamp {
        task_id: TaskId::new(issued_at, [7; 10]),
        issued_at,
        not_after: issued_at.after(Span::from_days(1)),
        run_at: None,
        priority: 1,
        max_attempts: 8,
        unique_key: None,
    }
}

fn keys(algorithm: Algorithm, source: &str) -> (SigningKey, KeyRing) {
    let source: Source = source.parse().expect("the sample names a source");
    let secret = Secret::new([7; 32]);
    let signing = SigningKey::new(algorithm, "2026-10", source.clone(), &secret);
    let signing = signing.expect("the key is well formed");
    let checking = match signing.public_text() {
        Some(public) => ProofKey::ed25519("2026-10", source, &public),
        None => ProofKey::mac("2026-10", source, &secret),
    };
    let ring = KeyRing::new(vec![checking.expect("the key is well formed")]);
    (signing, ring.expect("there is one key"))
}

fn measure<T>(name: &str, calls: u32, mut call: impl FnMut() -> T) -> io::Result<()> {
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..calls {
            black_box(call());
        }
        least = least.min(started.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
    }
    writeln!(io::stdout(), "{name:<20} {least:>9.0} ns")
}
