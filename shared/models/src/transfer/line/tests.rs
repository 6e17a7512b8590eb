use proptest::prelude::*;

use super::*;

const ACCOUNT: &str = r#"{"kind":"account","id":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"Otter Lane","billingProvider":"cine.io"}"#;
const STREAM: &str =
    r#"{"kind":"stream","id":"strm_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"kb7Qx2LmW"}"#;

fn problem(line: &[u8]) -> String {
    parse(7, line).unwrap_err().to_string()
}

fn check(line: &str, expected: &str) {
    let found = problem(line.as_bytes());
    assert!(found.starts_with("line 7"), "{found}");
    assert!(found.contains(expected), "{line}\n  gave: {found}\n  not:  {expected}");
}

#[test]
fn reads_a_line_with_what_it_leaves_out() {
    let Some(Record::Stream(stream)) = parse(1, STREAM.as_bytes()).unwrap() else {
        panic!("a stream");
    };
    assert_eq!((stream.instance_name.as_str(), stream.record), ("cines", false));
    assert!(matches!(parse(1, ACCOUNT.as_bytes()), Ok(Some(Record::Account(_)))));
    assert_eq!(parse(1, b" \r").unwrap(), None);
}

#[test]
fn says_what_is_no_object() {
    check("[1]", "expected a JSON object");
    check("{", "not JSON at column 1");
    check(&format!("{ACCOUNT}x"), "not JSON at column");
    check(&"x".repeat(MAX_LINE_BYTES + 1), "longer than 1048576 bytes");
    assert!(problem(b"{\"kind\":\"\xff\"}").contains("not UTF-8 from byte 10 on"));
    let deep = format!("{{\"kind\":{}", "[".repeat(10_000));
    check(&deep, "kind");
}

#[test]
fn says_which_key_is_wrong_and_what_would_be_right() {
    check("{}", "`kind`: missing");
    check(r#"{"kind":"acount"}"#, "did you mean `account`?");
    check(r#"{"kind":3}"#, "`kind`: invalid type: integer `3`, expected a string");
    check(r#"{"kind":"usage"}"#, "exported only");
    check(r#"{"kind":"account"}"#, "`id`: missing");
    check(&ACCOUNT.replace("\"name\"", "\"nmae\""), "`nmae`: no line of this kind has such a key");
    check(&ACCOUNT.replace("\"name\"", "\"nmae\""), "did you mean `name`?");
    check(&ACCOUNT.replace("acct_", "proj_"), "`id`: an id of this kind begins with `acct_`");
    check(&ACCOUNT.replace("cine.io", "heroko"), "did you mean `heroku`?");
    check(&ACCOUNT.replace("Otter Lane", " "), "`name`: expected 1 to 200 characters");
    for mark in ["\\u202e", "\\u2066", "\\u2028", "\\u0000", "\\n", "\\u001b"] {
        check(
            &ACCOUNT.replace("Otter Lane", &format!("Otter {mark}Lane")),
            "`name`: expected 1 to",
        );
    }
    check(&ACCOUNT.replace("\"Otter Lane\"", "null"), "`name`: invalid type: null");
    check(&ACCOUNT.replace('}', ",\"name\":\"B\"}"), "`name`: given twice");
    for address in ["a b@c", "a..b@x.example", "<a@x.example>", "a@x.example."] {
        let line = ACCOUNT.replace('}', &format!(",\"billingEmail\":\"{address}\"}}"));
        check(&line, "`billingEmail`: expected an");
    }
    check(&ACCOUNT.replace('}', ",\"throttledReason\":\"overLimit\"}"), "needs `throttledAt`");
    check(
        &ACCOUNT.replace('}', ",\"createdAt\":\"soon\"}"),
        "`createdAt`: `soon` is not an instant",
    );
    check(
        &ACCOUNT.replace('}', ",\"plans\":[{\"peer\":[\"a b\"]}]}"),
        "`plans`: expected 1 to 100 of",
    );
    check(&ACCOUNT.replace('}', ",\"plans\":[{\"pear\":[]}]}"), "did you mean `peer`?");
    let many = vec!["{}"; MAX_PLAN_CHANGES + 1].join(",");
    check(&ACCOUNT.replace('}', &format!(",\"plans\":[{many}]}}")), "more than 1000 changes");
    let many = vec!["\"solo\""; MAX_PLANS + 1].join(",");
    let many = format!(",\"plans\":[{{\"peer\":[{many}]}}]}}");
    check(&ACCOUNT.replace('}', &many), "more than 200 plans");
    for key in ["0f".repeat(31), "0g".repeat(32)] {
        let key = format!(",\"streamKeySha256\":\"{key}\"}}");
        check(&STREAM.replace('}', &key), "`streamKeySha256`: expected a SHA-256");
    }
    check(&STREAM.replace("kb7", "k/7"), "`name`: expected 1 to 100 of");
    check(&STREAM.replace('}', ",\"assignedAt\":\"2026-10-01T00:00:00Z\"}"), "needs `projectId`");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let found = parse(7, &bytes);
        prop_assert!(found.is_ok() || found.is_err_and(|problem| !problem.message.is_empty()));
    }

    #[test]
    fn a_damaged_line_is_read_or_refused(
        at in 0..ACCOUNT.len(), byte in any::<u8>(), cut in 0..=ACCOUNT.len(),
    ) {
        let mut bytes = ACCOUNT.as_bytes()[..cut].to_vec();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        if let Err(problem) = parse(7, &bytes) {
            prop_assert!(problem.message.chars().count() <= MAX_MESSAGE_CHARS + 100);
        }
    }
}
