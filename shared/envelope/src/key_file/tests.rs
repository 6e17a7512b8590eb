use values::Span;

use super::*;
use crate::{Algorithm, Door, ProofError, Stamp};

const DAY: Span = Span::from_days(1);

fn source(name: &str) -> Source {
    name.parse().unwrap()
}

fn now() -> Timestamp {
    "2026-10-31T12:00:00Z".parse().unwrap()
}

fn stamp(issued_at: Timestamp) -> Stamp {
    Stamp {
        task_id: values::TaskId::from_bytes([1; 16]),
        issued_at,
        not_after: issued_at.after(Span::from_days(30)),
        run_at: None,
        priority: 1,
        max_attempts: 3,
        unique_key: None,
    }
}

/// Checks at `at` and `door` what `key` proved at `issued_at`.
fn verdict(
    file: &KeyFile,
    key: &SigningKey,
    issued_at: Timestamp,
    door: Door,
    at: Timestamp,
) -> Result<(), ProofError> {
    let (stamp, name) = (stamp(issued_at), key.source().as_str());
    let proof = key.prove(&stamp, "a/b", b"{}", b"{}");
    file.ring().verify(door, at, &stamp, name, "a/b", b"{}", b"{}", Some(&proof))
}

fn full_file() -> KeyFile {
    let mut file = KeyFile::default();
    file.add_proof_key(&source("operator"), Algorithm::Mac, "op-1", now()).unwrap();
    file.add_proof_key(&source("api"), Algorithm::Ed25519, "api-1", now()).unwrap();
    let public = file.public_view().proof[1].public.clone().unwrap();
    file.add_public_key(&source("dashboard"), &public, "dash-1", now()).unwrap();
    file.rotate_sealing("seal-1", now()).unwrap();
    file
}

#[test]
fn survives_being_written_and_read() {
    let mut file = full_file();
    file.rotate(&source("operator"), "op-2", now().after(DAY), DAY).unwrap();
    file.revoke("api-1", now()).unwrap();
    file.rotate_sealing("seal-2", now().after(DAY)).unwrap();
    let text = file.to_json();
    let again = KeyFile::parse(text.expose()).unwrap();
    assert_eq!(again.to_json().expose(), text.expose());
    assert_eq!(again.public_view(), file.public_view());
    let sealed = file.newest_sealing_public().unwrap().seal("a", "b", "c", b"x").unwrap();
    assert!(again.sealing_ring().open("a", "b", "c", &sealed).is_ok());
}

#[test]
fn proves_and_checks_with_what_it_holds() {
    let file = full_file();
    for name in ["operator", "api"] {
        let key = file.signing_key(&source(name), now()).unwrap();
        assert_eq!(verdict(&file, &key, now(), Door::Enqueue, now()), Ok(()), "{name}");
    }
    // Only the public part of this one is here.
    assert!(file.signing_key(&source("dashboard"), now()).is_none());
    assert!(file.secret_text("dash-1").is_none());
    assert!(file.signing_key(&source("scheduler"), now()).is_none());
    let secret = file.secret_text("api-1").unwrap();
    let held = SigningKey::from_text(Algorithm::Ed25519, "dash-1", source("dashboard"), &secret);
    assert_eq!(verdict(&file, &held.unwrap(), now(), Door::Enqueue, now()), Ok(()));
}

#[test]
fn rotates_without_a_gap() {
    let mut file = full_file();
    let operator = source("operator");
    let old = file.signing_key(&operator, now()).unwrap();
    let rotated_at = now().after(DAY);
    file.rotate(&operator, "op-2", rotated_at, DAY).unwrap();
    let new = file.signing_key(&operator, rotated_at).unwrap();
    assert_eq!((old.id(), new.id()), ("op-1", "op-2"));
    let within = rotated_at.after(Span::from_hours(23));
    let later = rotated_at.after(Span::from_days(3));
    for key in [&old, &new] {
        assert_eq!(verdict(&file, key, within, Door::Enqueue, within), Ok(()));
        assert_eq!(verdict(&file, key, within, Door::Dispatch, later), Ok(()));
    }
    assert_eq!(verdict(&file, &new, later, Door::Enqueue, later), Ok(()));
    for door in [Door::Enqueue, Door::Dispatch] {
        assert_eq!(verdict(&file, &old, later, door, later), Err(ProofError::Expired));
    }
    // A second rotation does not lengthen the life of the first key.
    let before = file.public_view().proof[0].expires_at;
    file.rotate(&operator, "op-3", rotated_at, DAY.max(Span::from_days(9))).unwrap();
    assert_eq!(file.public_view().proof[0].expires_at, before);
}

#[test]
fn revokes_at_once_and_for_good() {
    let mut file = full_file();
    let key = file.signing_key(&source("api"), now()).unwrap();
    file.revoke("api-1", now()).unwrap();
    for door in [Door::Enqueue, Door::Dispatch] {
        assert_eq!(verdict(&file, &key, now(), door, now()), Err(ProofError::Revoked));
    }
    assert!(file.signing_key(&source("api"), now()).is_none());
    file.revoke("api-1", now().after(DAY)).unwrap();
    assert_eq!(file.public_view().proof[1].revoked_at, Some(now()));
}

#[test]
fn keeps_old_sealing_keys_for_opening_only() {
    let mut file = full_file();
    let sealed = file.newest_sealing_public().unwrap().seal("a", "b", "c", b"x").unwrap();
    file.rotate_sealing("seal-2", now()).unwrap();
    assert_eq!(file.newest_sealing_public().unwrap().id(), "seal-2");
    assert!(file.sealing_ring().open("a", "b", "c", &sealed).is_ok());
    assert_eq!(file.public_view().sealing[0].retired_at, Some(now()));
}

#[test]
fn refuses_changes_that_make_no_sense_and_stays_as_it_was() {
    let mut file = full_file();
    let before = file.public_view();
    let (api, scheduler) = (source("api"), source("scheduler"));
    let mac = Algorithm::Mac;
    let shown = |result: Result<(), KeyFileError>| result.unwrap_err().to_string();
    let taken = shown(file.add_proof_key(&scheduler, mac, "api-1", now()));
    assert!(taken.contains("`api-1`"), "{taken}");
    assert!(shown(file.rotate(&api, "api-1", now(), DAY)).contains("`api-1`"));
    assert!(shown(file.rotate_sealing("seal-1", now())).contains("`seal-1`"));
    assert!(shown(file.add_proof_key(&api, mac, "api 2", now())).contains("key id"));
    assert!(shown(file.rotate(&scheduler, "s-1", now(), DAY)).contains("`scheduler` has no key"));
    assert!(shown(file.add_public_key(&api, "ed25519:x", "api-2", now())).contains("ed25519:"));
    assert!(shown(file.revoke("apii-1", now())).contains("did you mean `api-1`?"));
    assert!(shown(file.revoke("unheard", now())).contains("keys show"));
    assert_eq!(file.public_view(), before);
}

fn problems(text: &str) -> Vec<String> {
    match KeyFile::parse(text).unwrap_err() {
        KeyFileError::Wrong { problems } => problems,
        other => vec![other.to_string()],
    }
}

#[test]
fn lists_every_problem_of_a_wrong_file_and_no_value() {
    let text = r#"{ "version": 2, "prof": [], "proof": [
        { "id": "canary id", "source": "Canary", "algorithm": "canary", "secret": "canary", "createdAt": "canary" },
        { "id": "m", "source": "api", "algorithm": "mac", "createdAt": 5, "expireAt": "canary" },
        { "id": "e", "source": "api", "algorithm": "ed25519", "createdAt": "2026-10-01T00:00:00Z" },
        "canary"
    ], "sealing": [{ "id": "s", "private": "canary", "createdAt": "2026-10-01T00:00:00Z" }] }"#;
    let found = problems(text);
    let expected = [
        "`prof` is unknown; did you mean `proof`?",
        "`version`",
        "`proof[0].id`",
        "`proof[0].source`",
        "`proof[0].algorithm`",
        "`proof[0].secret`",
        "`proof[0].createdAt`",
        "`proof[1].expireAt` is unknown; did you mean `expiresAt`?",
        "`proof[1].createdAt`",
        "`proof[1].secret`",
        "`proof[2].public`",
        "`proof[3]` is not an object",
        "`sealing[0].private`",
    ];
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}, not {expected}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    let all = format!("{:?} {}", KeyFile::parse(text), KeyFile::parse(text).unwrap_err());
    assert!(!all.to_lowercase().contains("canary"), "{all}");
}

#[test]
fn refuses_keys_that_do_not_fit_together() {
    let full = full_file().to_json();
    let full: serde_json::Value = serde_json::from_str(full.expose()).unwrap();
    let check = |change: &dyn Fn(&mut serde_json::Value), expected: &str| {
        let mut value = full.clone();
        change(&mut value);
        let found = problems(&value.to_string());
        assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
    };
    let other = format!("ed25519:{}", crate::text::to_base64(&[9; 32]));
    check(&|v| v["proof"][1]["public"] = other.clone().into(), "`proof[1].public`");
    check(&|v| v["proof"][0]["public"] = other.clone().into(), "absent for a mac");
    check(&|v| v["proof"][2]["id"] = "api-1".into(), "the id `api-1`");
    check(&|v| v["sealing"][0]["id"] = "seal-9".into(), "`sealing[0].public`");
    check(&|v| v["sealing"] = 1.into(), "`sealing`");
    check(&|v| v["proof"] = vec![1; MOST_KEYS + 1].into(), "at most 1000");
    check(&|v| *v = 1.into(), "`the file` is not an object");
    assert!(problems("{").concat().contains("line 1, column 2"));
    assert!(problems(r#"{"version":1,"version":1}"#).concat().contains("given twice"));
    assert!(KeyFile::parse(r#"{"version":1}"#).is_ok());
}

#[test]
fn stops_at_the_limit_of_keys() {
    let mut file = KeyFile::default();
    for i in 0..MOST_KEYS {
        file.add_proof_key(&source("api"), Algorithm::Mac, &format!("k{i}"), now()).unwrap();
    }
    let error = file.add_proof_key(&source("api"), Algorithm::Mac, "one-more", now());
    assert_eq!(error, Err(KeyFileError::Full));
    assert!(KeyFile::parse(file.to_json().expose()).is_ok());
}

#[test]
fn shows_no_secret_but_in_the_file_itself() {
    let file = full_file();
    let text = file.to_json();
    let value: serde_json::Value = serde_json::from_str(text.expose()).unwrap();
    let secrets = [
        &value["proof"][0]["secret"],
        &value["proof"][1]["secret"],
        &value["sealing"][0]["private"],
    ];
    let key = file.signing_key(&source("operator"), now()).unwrap();
    let view = file.public_view();
    let json = serde_json::to_string(&view).unwrap();
    let shown = format!("{file:?} {view:?} {json} {key:?} {:?} {text:?} {text}", file.ring());
    for secret in secrets {
        assert!(!shown.contains(secret.as_str().unwrap()), "{shown}");
    }
    assert!(json.contains("ed25519:") && json.contains("x25519:seal-1:"), "{json}");
}
