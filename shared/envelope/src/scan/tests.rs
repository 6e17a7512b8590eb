use proptest::prelude::*;

use super::*;

fn code(text: &str) -> &'static str {
    scan(text, 64).map_or_else(|error| error.code(), |_| "ok")
}

#[test]
fn takes_every_kind_of_value() {
    for text in [
        "{}",
        "[]",
        "\"\"",
        "0",
        "-0",
        "-0.0e-0",
        "1E+2",
        "true",
        "false",
        "null",
        " [ ] ",
        "[{},[],{\"a\":[{}]}]",
        "\"\\ud83d\\ude00 \\u0000 \\\\ \\/\"",
        "1e-999",
        "1.7e308",
        "{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}]}",
    ] {
        assert_eq!(code(text), "ok", "{text}");
    }
}

#[test]
fn refuses_what_is_not_json() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "[1,]",
        "[,1]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{1:2}",
        "{\"a\" 1}",
        "[1 2]",
        "[1}",
        "{\"a\":1]",
        "1 2",
        "{} {}",
        "tru",
        "True",
        "nul",
        "NaN",
        "Infinity",
        "+1",
        "01",
        "-01",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "1e999",
        "-1e999",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "\"a\nb\"",
        "\"a\u{0}\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\u00\"",
        "\"\\ud800x\"",
        "/**/1",
        "\u{a0}1",
        "\u{feff}{}",
        "é",
        "[é]",
        "\"\\é\"",
        "\"\\ué\"",
        "\"\\ud800\\é\"",
    ] {
        assert_eq!(code(text), "not_json", "{text:?}");
    }
    assert_eq!(code(&"9".repeat(400)), "not_json");
}

#[test]
fn takes_no_number_that_the_reader_of_payloads_refuses() {
    // Rounds to a finite double, but serde_json finds it out of range.
    let text = "1.79769313486231579999999999999999999999e308";
    assert!(text.parse::<f64>().unwrap().is_finite());
    assert!(serde_json::from_str::<serde_json::Value>(text).is_err());
    assert_eq!(code(text), "not_json");
    assert_eq!(code("1.7976931348623157e308"), "ok");
}

#[test]
fn points_at_the_line_and_the_character() {
    let check = |text, line, column| match scan(text, 64) {
        Err(EnvelopeError::NotJson { line: l, column: c, .. }) => {
            assert_eq!((l, c), (line, column), "{text}");
        }
        other => panic!("{text}: {other:?}"),
    };
    check("", 1, 1);
    check("{\n  \"é\": x}", 2, 8);
    check("[1,\n\n]", 3, 1);
    check("{} é", 1, 4);
}

#[test]
fn finds_duplicate_keys_at_any_depth_and_in_any_spelling() {
    let check = |text: &str, key: &str, place: &str| {
        let expected = EnvelopeError::DuplicateKey { key: key.to_owned(), place: place.to_owned() };
        assert_eq!(scan(text, 64).unwrap_err(), expected, "{text}");
    };
    check(r#"{"a":1,"a":1}"#, "a", "the outermost object");
    check(r#"{"a":1,"b":2,"\u0061":3}"#, "a", "the outermost object");
    check(r#"{"x":{"y":[0,{"z":{"a":1,"a":2}}]}}"#, "a", "`x.y[].z`");
    check(r#"{"x":[[{"a":1,"a":2}]]}"#, "a", "`x[][]`");
    let many: Vec<String> = (0..1_000).map(|i| format!("\"k{i}\":0")).collect();
    assert_eq!(code(&format!("{{{}}}", many.join(","))), "ok");
    check(&format!("{{{},\"k7\":1}}", many.join(",")), "k7", "the outermost object");
}

#[test]
fn counts_depth_without_using_the_stack() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(code(&nested(64)), "ok");
    assert_eq!(code(&nested(65)), "too_deep");
    assert_eq!(code(&"[".repeat(500_000)), "too_deep");
    assert_eq!(code(&"{\"a\":".repeat(200_000)), "too_deep");
    let deep = std::thread::Builder::new().stack_size(64 * 1024);
    let deep = deep.spawn(move || scan(&nested(400_000), usize::MAX).is_ok()).unwrap();
    assert!(deep.join().unwrap());
}

#[test]
fn hands_out_the_members_of_the_outermost_object_as_they_are_written() {
    let scanned = scan(" { \"a\" : [1, {\"b\":2}] ,\"\\u0063\":\"x\" , \"d\":{ } } ", 64).unwrap();
    let members: Vec<_> = scanned.members.iter().map(|m| (&*m.key, m.value, m.kind)).collect();
    let expected = [
        ("a", "[1, {\"b\":2}]", Kind::Array),
        ("c", "\"x\"", Kind::String),
        ("d", "{ }", Kind::Object),
    ];
    assert_eq!(members, expected);
}

/// Texts near JSON: pieces of it in any order.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "\"\\u0061\"", "0", "-1.5e3", "1e309",
            "true", "null", " ", "\\", "\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "é", "\n", ".",
        ]).prop_map(str::to_owned),
        1 => ".{0,4}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Any JSON value whose objects have distinct keys.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::btree_map(".{0,6}", inner, 0..12)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn agrees_with_serde_json_except_where_it_is_stricter(text in nearly_json()) {
        let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        match scan(&text, 64) {
            Ok(_) => prop_assert!(theirs, "{text:?}"),
            Err(EnvelopeError::DuplicateKey { .. } | EnvelopeError::TooDeep { .. }) => {}
            Err(error) => prop_assert!(!theirs, "{text:?}: {error}"),
        }
    }

    #[test]
    fn takes_whatever_serde_json_writes(value in json(), pretty: bool) {
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        let scanned = scan(&text, 64).unwrap();
        prop_assert_eq!(scanned.value, &text);
    }
}
