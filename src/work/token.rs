//! What RTMP servers send: forms, and the token that proves who sends them.

use axum::http::{HeaderMap, header};
use values::Secret;

/// Whether a request carries the token: in its header, or in its query as RTMP servers need it.
pub(super) fn is_proven(token: &Secret<String>, headers: &HeaderMap, query: &str) -> bool {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
    let given = bearer.or_else(|| field(query.as_bytes(), "token")).unwrap_or_default();
    let expected = token.expose().as_bytes();
    aws_lc_rs::constant_time::verify_slices_are_equal(given.as_bytes(), expected).is_ok()
}

/// Finds a field of a form and decodes it; `None` also when it is there twice, or is not UTF-8.
///
/// RTMP servers append to their own fields what the publisher wrote behind the stream's name, so a
/// field that stands there twice may be anybody's.
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    let mut found = form.split(|byte| *byte == b'&').filter_map(|field| {
        let (key, value) = field.split_at(field.iter().position(|byte| *byte == b'=')?);
        (decoded(key)? == name.as_bytes()).then_some(&value[1..])
    });
    let value = found.next()?;
    if found.next().is_some() {
        return None;
    }
    String::from_utf8(decoded(value)?).ok()
}

fn decoded(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_forms() {
        let form = b"call=record_done&name=cam+1&path=%2Fvar%2Fa%0Ab%C3%A9.flv&token=x%2";
        assert_eq!(field(form, "name").as_deref(), Some("cam 1"));
        assert_eq!(field(form, "path").as_deref(), Some("/var/a\nb\u{e9}.flv"));
        assert_eq!(field(form, "token"), None);
        assert_eq!(field(form, "app"), None);
        assert_eq!(field(b"", "name"), None);
        assert_eq!(field(b"name=%ff", "name"), None);
    }

    #[test]
    fn believes_no_field_that_stands_there_twice() {
        assert_eq!(field(b"name=cam&key=x&name=other", "name"), None);
        assert_eq!(field(b"name=cam&n%61me=other", "name"), None);
        assert_eq!(field(b"name=cam&name", "name").as_deref(), Some("cam"));
    }

    #[test]
    fn the_token_is_in_the_header_or_in_the_query() {
        let token = Secret::new("right".to_owned());
        let check = |header: Option<&str>, query: &str, proven: bool| {
            let mut headers = HeaderMap::new();
            if let Some(value) = header {
                headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(is_proven(&token, &headers, query), proven, "{header:?} {query}");
        };
        check(None, "token=right", true);
        check(Some("Bearer right"), "", true);
        check(Some("Bearer right"), "token=wrong", true);
        check(Some("Bearer wrong"), "token=right", false);
        check(Some("right"), "", false);
        check(None, "token=righ", false);
        check(None, "token=right&token=right", false);
        check(None, "", false);
    }
}
