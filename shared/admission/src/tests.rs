use envelope::SigningKey;
use proptest::prelude::*;
use values::{Secret, Span, TaskId};

use super::*;

const MANIFEST: &str = r#"
[sources.api]
jobs = ["monitoring/report_environment"]
[sources.scheduler]
jobs = ["logs/*"]
[jobs."monitoring/report_environment"]
[jobs."logs/process_log"]
"#;

fn manifest() -> Manifest {
    Manifest::parse(MANIFEST, &contract::contract().names()).unwrap()
}

fn envelope(job: &str, source: &str, configuration: &str, payload: &str) -> Envelope {
    let text = format!(
        r#"{{"configuration":{configuration},"jobName":"{job}","source":"{source}","jobPayload":{payload}}}"#
    );
    read(text.as_bytes(), &Limits::default()).unwrap()
}

fn local(envelope: &Envelope) -> Result<(), Rejection> {
    let manifest = manifest();
    let rules = Rules {
        manifest: &manifest,
        contract: contract::contract(),
        keys: None,
        sealing: None,
        worker_sections: None,
    };
    admit(&rules, envelope, &Voucher::Local).map(|_| ())
}

/// Faults 21 and 22: a job is known by its name, and a source asks for what it may.
#[test]
fn names_the_code_the_field_and_what_to_change() {
    let check = |job, source, configuration, payload, expected: &str| {
        let found = local(&envelope(job, source, configuration, payload));
        let found =
            found.map_or_else(|rejection| rejection.to_string(), |()| "admitted".to_owned());
        assert!(found.starts_with(expected), "{found}");
    };
    let report = "monitoring/report_environment";
    check(report, "api", "{}", "{}", "admitted");
    check(
        "monitoring/report_enviroment",
        "api",
        "{}",
        "{}",
        "unknown_job: jobName: there is no job `monitoring/report_enviroment`; did you mean `monitoring/report_environment`?",
    );
    check(
        "usage/roll_up_usage",
        "api",
        "{}",
        "{}",
        "unknown_job: jobName: job `usage/roll_up_usage` has no row [jobs.\"usage/roll_up_usage\"] in worker.toml",
    );
    check(
        report,
        "apu",
        "{}",
        "{}",
        "unknown_source: source: there is no source `apu`; did you mean `api`?",
    );
    check(
        report,
        "scheduler",
        "{}",
        "{}",
        "source_not_allowed: source: source `scheduler` may not ask for `monitoring/report_environment`; add",
    );
    check(
        report,
        "api",
        r#"{"gateway":{}}"#,
        "{}",
        "missing_configuration: configuration.gateway: job `monitoring/report_environment` declares no such section; leave it out",
    );
    check(
        report,
        "api",
        "{}",
        r#"{"ecko":1}"#,
        "invalid_payload: jobPayload.ecko: unknown field `ecko`, expected `echo`; `main-worker jobs show",
    );
    let log = "logs/process_log";
    let payload = r#"{"logSource":"cdn","key":"a.gz"}"#;
    let keys = r#"{"objectStorage":{"accessKeyId":"a","secretAccessKey":"b"}}"#;
    check(log, "scheduler", keys, payload, "admitted");
    check(
        log,
        "scheduler",
        r#"{"objectStorage":{"accessKeyId":7}}"#,
        payload,
        "missing_configuration: configuration.objectStorage.accessKeyId: wrong value, expected a string",
    );
    check(
        log,
        "scheduler",
        r#"{"objectStorage":7}"#,
        payload,
        "missing_configuration: configuration.objectStorage: a section is a JSON object, or a sealed text",
    );
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_790_000_000 + seconds)
}

/// A key of source `api` under this id.
fn key(id: &str) -> (SigningKey, KeyRing) {
    let secret = Secret::new([7; 32]);
    let source: Source = "api".parse().unwrap();
    let key = SigningKey::new(envelope::Algorithm::Mac, id, source.clone(), &secret).unwrap();
    (key, KeyRing::new(vec![envelope::ProofKey::mac(id, source, &secret).unwrap()]).unwrap())
}

struct Proven {
    ring: KeyRing,
    stamp: Stamp,
    proof: Proof,
    envelope: Envelope,
}

fn proven(envelope: Envelope) -> Proven {
    proven_until(envelope, None, at(0).after(Span::from_hours(1)))
}

fn proven_until(envelope: Envelope, run_at: Option<Timestamp>, not_after: Timestamp) -> Proven {
    let (key, ring) = key("k1");
    let stamp = Stamp {
        task_id: TaskId::new(at(0), [1; 10]),
        issued_at: at(0),
        not_after,
        run_at,
        priority: 0,
        max_attempts: 5,
        unique_key: None,
    };
    let proof = key.prove(
        &stamp,
        &envelope.job_name,
        envelope.configuration.as_bytes(),
        envelope.job_payload.as_bytes(),
    );
    Proven { ring, stamp, proof, envelope }
}

fn decide(
    proven: &Proven,
    door: Door,
    now: Timestamp,
    proof: Option<&Proof>,
    manifest: &Manifest,
) -> Result<(), Code> {
    judge(proven, door, now, proof, manifest).map_err(|rejection| rejection.code)
}

fn judge(
    proven: &Proven,
    door: Door,
    now: Timestamp,
    proof: Option<&Proof>,
    manifest: &Manifest,
) -> Result<(), Rejection> {
    let rules = Rules {
        manifest,
        contract: contract::contract(),
        keys: Some(&proven.ring),
        sealing: None,
        worker_sections: None,
    };
    let voucher = Voucher::Proof { door, now, stamp: &proven.stamp, proof };
    admit(&rules, &proven.envelope, &voucher).map(|_| ())
}

#[test]
fn asks_for_a_proof_unless_told_not_to() {
    let proven = proven(envelope("monitoring/report_environment", "api", "{}", "{}"));
    let manifest = manifest();
    let check = |door, now, proof, expected: Result<(), Code>| {
        assert_eq!(decide(&proven, door, now, proof, &manifest), expected);
    };
    check(Door::Enqueue, at(1), Some(&proven.proof), Ok(()));
    check(Door::Dispatch, at(1), Some(&proven.proof), Ok(()));
    check(Door::Dispatch, at(1), None, Err(Code::BadProof));
    check(Door::Dispatch, at(7_200), Some(&proven.proof), Err(Code::BadProof));
    let lax = format!("[worker]\nrequire_signatures = false\n{MANIFEST}");
    let lax = Manifest::parse(&lax, &contract::contract().names()).unwrap();
    assert_eq!(decide(&proven, Door::Dispatch, at(1), None, &lax), Ok(()));
}

#[test]
fn a_key_that_another_worker_may_know_holds_the_task() {
    let mut proven = proven(envelope("monitoring/report_environment", "api", "{}", "{}"));
    let check = |proven: &Proven, ends: bool, words: &str| {
        let found = judge(proven, Door::Dispatch, at(1), Some(&proven.proof), &manifest());
        let rejection = found.unwrap_err();
        assert_eq!((rejection.code, rejection.ends_at_once()), (Code::BadProof, ends));
        assert!(rejection.message.contains(words), "{rejection}");
    };
    proven.ring = key("k2").1;
    check(&proven, false, "the key `k1` is unknown");
    let mut revoked =
        envelope::ProofKey::mac("k1", "api".parse().unwrap(), &Secret::new([7; 32])).unwrap();
    revoked.revoked_at = Some(at(0));
    proven.ring = KeyRing::new(vec![revoked]).unwrap();
    check(&proven, true, "revoked");
    proven.ring = key("k1").1;
    proven.stamp.priority = 2;
    check(&proven, true, "does not belong");
}

#[test]
fn a_proof_is_good_for_no_longer_than_the_lifetime() {
    let report = || envelope("monitoring/report_environment", "api", "{}", "{}");
    let manifest = manifest();
    let lifetime = manifest.worker.task_lifetime;
    let bound = |from: Timestamp| from.after(lifetime).after(envelope::CLOCK_SKEW);
    let check = |run_at: Option<Timestamp>, not_after: Timestamp, fits: bool| {
        let proven = proven_until(report(), run_at, not_after);
        for door in [Door::Enqueue, Door::Dispatch] {
            let found = judge(&proven, door, at(1), Some(&proven.proof), &manifest);
            assert_eq!(found.is_ok(), fits, "{not_after} {found:?}");
            if let Err(rejection) = found {
                assert_eq!((rejection.code, rejection.ends_at_once()), (Code::BadProof, false));
                assert!(rejection.message.contains("`task_lifetime` (4w2d)"), "{rejection}");
            }
        }
    };
    check(None, bound(at(0)), true);
    check(None, bound(at(1)), false);
    check(None, Timestamp::MAX, false);
    check(Some(at(9_000)), bound(at(9_000)), true);
    check(Some(at(9_000)), bound(at(9_001)), false);
    // A start in the past lengthens nothing.
    check(Some(at(-9_000)), bound(at(0)), true);
    check(Some(at(-9_000)), bound(at(1)), false);
}

#[test]
fn refuses_to_store_configuration_that_is_not_sealed() {
    let plain = proven(envelope(
        "monitoring/report_environment",
        "api",
        r#"{"objectStorage":{"secretAccessKey":"x"}}"#,
        "{}",
    ));
    let found = decide(&plain, Door::Enqueue, at(1), Some(&plain.proof), &manifest());
    assert_eq!(found, Err(Code::MissingConfiguration));
}

#[test]
fn cleans_what_a_stranger_claims() {
    let rejection =
        Rejection::new(Code::UnknownJob, "a\n\u{1b}[31mé", &"x".repeat(500), "", String::new());
    assert_eq!(rejection.job_name, "a???31m?");
    assert_eq!(rejection.source.len(), 60);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_rejected(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Err(rejection) = read(&bytes, &Limits::default()) {
            prop_assert!(matches!(rejection.code, Code::MalformedEnvelope | Code::TooLarge));
        }
    }

    #[test]
    fn any_names_and_values_are_decided(job in ".{0,40}", source in ".{0,40}", value in ".{0,40}") {
        let text = serde_json::json!({
            "configuration": {"objectStorage": value}, "jobName": job, "source": source,
            "jobPayload": {"echo": value},
        });
        let envelope = read(text.to_string().as_bytes(), &Limits::default()).unwrap();
        prop_assert!(local(&envelope).is_err());
    }
}
