//! Proofs: golden vectors, doors and times, and thousands of requests that were tampered with.

mod mutations;
mod requests;

use envelope::{
    Algorithm, Door, KeyError, KeyRing, ProofError, ProofKey, SigningKey, canonical_bytes,
};
use requests::{Request, at, checking, keys, noon, secret, signing, source};
use values::{Secret, Span};

/// Computed with another implementation of SHA-256, HMAC and Ed25519.
#[test]
fn matches_the_golden_vectors() {
    let mac = signing(Algorithm::Mac, "2026-10", "scheduler", 0);
    let request = Request::proven_with(&mac);
    let Request { stamp, source, job_name, configuration, payload, proof } = &request;
    let bytes = canonical_bytes(stamp, source, job_name, configuration, payload);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
    let hex = digest.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    assert_eq!(bytes.len(), 183);
    assert_eq!(hex, "bc1edd8ffa6b080da74b65ef7207368b0f5002e85cad73b0d88df7f789ec9777");
    let text = proof.as_ref().unwrap().to_string();
    assert_eq!(text, "v1.mac.2026-10.p6wxsN8g8yV4ztVxX4jDG795kdNIJJlNBg0dpk_Rovg");

    let pair = signing(Algorithm::Ed25519, "2026-10", "scheduler", 0);
    let public = "ed25519:A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
    assert_eq!(pair.public_text().as_deref(), Some(public));
    assert_eq!(
        Request::proven_with(&pair).proof.unwrap().to_string(),
        "v1.ed25519.2026-10.dOFZxFOqbKo_1nIxb1fu0VcZN_e2P3c0nJoVYjYnMISJwOPSqH2cVf2OcoIauCOd\
         W1The-uoWho7URbe0Tx8Aw"
    );
}

#[test]
fn takes_what_was_proven_at_both_doors() {
    let (signing, ring) = keys();
    for key in &signing {
        let request = Request::proven_with(key);
        for door in [Door::Enqueue, Door::Dispatch] {
            assert_eq!(request.check(&ring, door, noon()), Ok(()), "{key:?}");
        }
    }
}

#[test]
fn refuses_every_altered_request() {
    let (signing, ring) = keys();
    let mut refused = 0;
    for key in &signing {
        let genuine = Request::proven_with(key);
        for (what, altered) in mutations::mutations(&genuine, &signing) {
            for door in [Door::Enqueue, Door::Dispatch] {
                let verdict = altered.check(&ring, door, noon());
                assert!(verdict.is_err(), "{key:?} {door:?}: {what} was taken");
            }
            refused += 1;
        }
    }
    assert!(refused >= 10_000, "only {refused} mutations were tried");
}

#[test]
fn says_what_is_wrong_with_the_key() {
    let (signing_keys, ring) = keys();
    let genuine = Request::proven_with(&signing_keys[0]);
    let verdict = |change: &dyn Fn(&mut Request)| {
        let mut request = genuine.clone();
        change(&mut request);
        request.check(&ring, Door::Enqueue, noon()).unwrap_err()
    };
    assert_eq!(verdict(&|r| r.proof = None), ProofError::Missing);
    assert_eq!(
        verdict(&|r| r.proof.as_mut().unwrap().key_id = "2026-12".to_owned()),
        ProofError::UnknownKey { key_id: "2026-12".to_owned() }
    );
    assert_eq!(
        verdict(&|r| "dashboard".clone_into(&mut r.source)),
        ProofError::WrongSource { key_id: "2026-10".to_owned(), claimed: "dashboard".to_owned() }
    );
    // The id exists for this source too, as another key.
    assert_eq!(verdict(&|r| "api".clone_into(&mut r.source)), ProofError::Altered);
    assert_eq!(verdict(&|r| r.payload.clear()), ProofError::Altered);
    let everyone = KeyRing::default();
    assert!(everyone.is_empty());
    assert!(genuine.check(&everyone, Door::Dispatch, noon()).is_err());
}

#[test]
fn judges_times_at_each_door() {
    let key = signing(Algorithm::Mac, "k", "api", 0);
    let genuine = Request::proven_with(&key);
    let (issued_at, not_after) = (genuine.stamp.issued_at, genuine.stamp.not_after);
    let check = |expires_at: Option<&str>, revoked_at: Option<&str>, door, now, expected| {
        let mut checking = checking(&key, 0);
        checking.expires_at = expires_at.map(at);
        checking.revoked_at = revoked_at.map(at);
        let ring = KeyRing::new(vec![checking]).unwrap();
        assert_eq!(genuine.check(&ring, door, now), expected, "{door:?} at {now}");
    };
    let moment = Span::from_micros(1);
    for door in [Door::Enqueue, Door::Dispatch] {
        check(None, None, door, not_after, Ok(()));
        check(None, None, door, not_after.after(moment), Err(ProofError::TooOld));
        check(None, Some("2026-11-01T12:00:00Z"), door, noon(), Err(ProofError::Revoked));
        check(None, Some("2026-11-01T12:00:01Z"), door, noon(), Ok(()));
        check(Some("2026-10-31T23:59:59Z"), None, door, noon(), Err(ProofError::Expired));
        check(Some("2026-11-01T12:00:00Z"), None, door, noon(), Ok(()));
    }
    let early = issued_at.before(Span::from_minutes(5));
    check(None, None, Door::Enqueue, early, Ok(()));
    check(None, None, Door::Enqueue, early.before(moment), Err(ProofError::NotYetIssued));
    check(None, None, Door::Dispatch, early.before(moment), Ok(()));
    // Expired since the proof was made: the door is shut, tasks already waiting still run.
    check(Some("2026-11-01T06:00:00Z"), None, Door::Enqueue, noon(), Err(ProofError::Expired));
    check(Some("2026-11-01T06:00:00Z"), None, Door::Dispatch, noon(), Ok(()));
    check(Some("2026-11-01T00:00:00Z"), None, Door::Dispatch, noon(), Ok(()));
    // A source whose clock is ahead gets no task in that a later dispatch would refuse.
    check(Some("2026-10-31T23:59:00Z"), None, Door::Enqueue, early, Err(ProofError::Expired));
}

#[test]
fn refuses_odd_keys() {
    let api = || source("api");
    let error = |public: &str| ProofKey::ed25519("k", api(), public).unwrap_err();
    assert_eq!(error("A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"), KeyError::Ed25519Public);
    assert_eq!(error("ed25519:AAAA"), KeyError::Ed25519Public);
    assert_eq!(ProofKey::mac("k.1", api(), &secret(0)).unwrap_err(), KeyError::KeyId);
    let short = Secret::new("AAAA".to_owned());
    let key = SigningKey::from_text(Algorithm::Mac, "k", api(), &short);
    assert_eq!(key.unwrap_err(), KeyError::Bytes);
    let twice = (0..2).map(|n| ProofKey::mac("k", api(), &secret(n)).unwrap()).collect();
    let error = KeyRing::new(twice).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the source `api` has two keys with the id `k`; rename one of them"
    );
}

#[test]
fn shows_no_key() {
    let bytes = *b"canary canary canary canary cana";
    let (key, ring) = {
        let secret = Secret::new(bytes);
        let key = SigningKey::new(Algorithm::Mac, "k", source("api"), &secret).unwrap();
        (key, KeyRing::new(vec![ProofKey::mac("k", source("api"), &secret).unwrap()]).unwrap())
    };
    let mut request = Request::proven_with(&key);
    request.payload.clear();
    let error = request.check(&ring, Door::Enqueue, noon()).unwrap_err();
    let shown = format!("{key:?} {key:#?} {ring:?} {ring:#?} {error} {error:?}");
    for secret in ["canary", "Y2FuYXJ5", "99, 97", "63616e"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
