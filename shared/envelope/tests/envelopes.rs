//! Envelopes: what is taken, what each refusal says, and that any bytes get an answer.

use envelope::{Envelope, EnvelopeError, Limits};
use proptest::prelude::*;

const PLAIN: &str = r#"{"configuration":{"database":{"url":"x"}},"jobName":"logs/process_log","source":"api","jobPayload":{"n":1.50}}"#;

fn parse(text: &str) -> Result<Envelope, EnvelopeError> {
    Envelope::parse(text.as_bytes(), &Limits::default())
}

#[test]
fn keeps_configuration_and_payload_byte_for_byte() {
    let text = " {\"jobPayload\" : { \"n\": 1.50 , \"m\":1e2 },\n \"source\":\"a\\u0070i\",\
                 \"jobName\":\"logs/process_log\",\"configuration\":{ } } ";
    let envelope = parse(text).unwrap();
    assert_eq!(envelope.job_payload.as_str(), "{ \"n\": 1.50 , \"m\":1e2 }");
    assert_eq!(envelope.configuration.as_bytes(), b"{ }");
    assert_eq!((envelope.source.as_str(), envelope.job_name.as_str()), ("api", "logs/process_log"));
    assert_eq!(parse(&envelope.to_json()), Ok(envelope));
    assert_eq!(parse(PLAIN).unwrap().to_json(), PLAIN);
}

#[test]
fn hands_out_the_sections_of_the_configuration() {
    let text = PLAIN.replace(r#"{"url":"x"}"#, r#"{"url": "x"},"a\u0062":"sealed:v1:k:a:b""#);
    let sections = parse(&text).unwrap().sections().unwrap();
    let sections: Vec<_> = sections.iter().map(|(name, raw)| (&**name, raw.as_str())).collect();
    assert_eq!(sections, [("ab", r#""sealed:v1:k:a:b""#), ("database", r#"{"url": "x"}"#)]);
    let mut odd = parse(PLAIN).unwrap();
    odd.configuration = envelope::RawJson::from_value(&1).unwrap();
    assert_eq!(odd.sections().unwrap_err().code(), "wrong_type");
}

#[test]
fn says_what_to_change() {
    let check = |from: &str, to: &str, expected: &str| {
        let text = PLAIN.replacen(from, to, 1);
        assert_eq!(parse(&text).unwrap_err().to_string(), expected, "{text}");
    };
    let keys = "an envelope has configuration, jobName, source and jobPayload";
    check("jobName", "jobname", "`jobname` is not a key of an envelope; did you mean `jobName`?");
    check(
        "configuration",
        "environment",
        "`environment` is not a key of an envelope; remove it, or move it into jobPayload",
    );
    check(r#""source":"api","#, "", &format!("`source` is missing; {keys}"));
    check(r#""api""#, "7", "`source` is a string, found a number");
    check(r#""logs/process_log""#, "null", "`jobName` is a string, found null");
    check(r#"{"n":1.50}"#, "[]", "`jobPayload` is an object, found an array");
    check(r#"{"database":{"url":"x"}}"#, r#""""#, "`configuration` is an object, found a string");
    check(
        r#"{"n":1.50}"#,
        r#"{"a":[{"n":1,"n":2}]}"#,
        "the key `n` is given twice in `jobPayload.a[]`; keep one of them",
    );
    check(
        r#""source""#,
        r#""source":"dashboard","source""#,
        "the key `source` is given twice in the outermost object; keep one of them",
    );
    check("1.50", "1e999", "line 1, column 105 is not JSON: the number is too large");
    let found = parse("[]").unwrap_err().to_string();
    assert!(found.ends_with("source and jobPayload, found an array"), "{found}");
    let not_utf8 = Envelope::parse(b"{\"a\":\"\xff\"}", &Limits::default()).unwrap_err();
    assert_eq!(not_utf8, EnvelopeError::NotUtf8 { offset: 6 });
}

#[test]
fn holds_the_limits() {
    let limits = Limits { max_bytes: PLAIN.len(), ..Limits::default() };
    assert!(Envelope::parse(PLAIN.as_bytes(), &limits).is_ok());
    let longer = format!("{PLAIN} ");
    assert_eq!(
        Envelope::parse(longer.as_bytes(), &limits),
        Err(EnvelopeError::TooLarge { bytes: PLAIN.len() + 1, max: PLAIN.len() })
    );
    let nested = |depth: usize| {
        let inner = format!("{}{}", "[".repeat(depth - 2), "]".repeat(depth - 2));
        parse(&PLAIN.replace("1.50", &inner))
    };
    assert!(nested(64).is_ok());
    assert_eq!(nested(65), Err(EnvelopeError::TooDeep { max: 64 }));
}

#[test]
fn shows_nothing_of_configuration_or_payload() {
    let text = PLAIN.replace("\"x\"", "\"canary\"").replace("1.50", "\"canary\"");
    let envelope = parse(&text).unwrap();
    let sections = envelope.sections().unwrap();
    let shown = format!("{envelope:?} {envelope:#?} {sections:?}");
    assert!(!shown.contains("canary") && shown.contains("logs/process_log"), "{shown}");
    for cut in 0..text.len() {
        let error = parse(&text[..cut]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}

/// A genuine envelope with a few bytes changed, taken out or put in.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    prop::collection::vec(edit, 1..6).prop_map(|edits| {
        let mut bytes = PLAIN.as_bytes().to_vec();
        for (index, byte, kind) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, byte),
                _ => bytes.truncate(at),
            }
        }
        bytes
    })
}

fn answers(bytes: &[u8]) -> Result<(), TestCaseError> {
    match Envelope::parse(bytes, &Limits::default()) {
        Ok(envelope) => {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(bytes).is_ok());
            prop_assert!(envelope.sections().is_ok());
            prop_assert_eq!(parse(&envelope.to_json()), Ok(envelope));
        }
        Err(error) => prop_assert!(!error.to_string().is_empty()),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        answers(&bytes)?;
    }

    #[test]
    fn damaged_envelopes_get_an_answer(bytes in damaged()) {
        answers(&bytes)?;
    }
}
