//! Types that JSON and settings write as their text.

/// Serializes a type by its `Display` and reads it by its `FromStr`; with a schema if one is given.
macro_rules! as_text {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
    ($name:ident, $schema:tt) => {
        $crate::text::as_text!($name);

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}
pub(crate) use as_text;

/// Whether a character ends a line, controls a terminal or turns the direction of reading.
pub fn breaks_line(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes a whole number with thousands commas.
pub fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes of a mail address at the most (RFC 5321, 4.5.3.1.3).
pub const EMAIL_BYTES_MAX: usize = 254;
/// Bytes of what stands before the `@` at the most (RFC 5321, 4.5.3.1.1).
const EMAIL_USER_BYTES_MAX: usize = 64;
/// Bytes of a part of a domain at the most (RFC 1035, 2.3.4).
const DOMAIN_LABEL_BYTES_MAX: usize = 63;
/// Bytes of an id of another system at the most; see [`is_plain_id`].
pub const PLAIN_ID_BYTES_MAX: usize = 255;

/// Whether a text is a mail address that mails can be sent to: `name@host`, nothing in quotes, no
/// address of a network in the place of a host.
pub fn is_email(text: &str) -> bool {
    let Some((user, domain)) = text.split_once('@') else { return false };
    let of_user = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let of_domain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let label = |label: &str| {
        (1..=DOMAIN_LABEL_BYTES_MAX).contains(&label.len())
            && label.chars().all(of_domain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= EMAIL_BYTES_MAX
        && user.len() <= EMAIL_USER_BYTES_MAX
        && user.split('.').all(|part| !part.is_empty() && part.chars().all(of_user))
        && domain.split('.').all(label)
}

/// Whether a text is an id as another system gives it, which can be part of an address: 1 to
/// [`PLAIN_ID_BYTES_MAX`] letters of ASCII, digits and underscores.
pub fn is_plain_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=PLAIN_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_name_at_one_host() {
        for good in ["a@b", "o'neil+x@mail.example.org", "žofie@žluťoučký.example", "a.b@c-d.e_f"]
        {
            assert!(is_email(good), "{good}");
        }
        let long_user = format!("{}@example.org", "a".repeat(65));
        let long_label = format!("a@{}.org", "b".repeat(64));
        let long = format!("a@{}org", "b.".repeat(126));
        for bad in [
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            "a..b@c",
            ".a@c",
            "a.@c",
            "a@b.",
            "a@.b",
            "a@b..c",
            "<a@b>",
            "a@b>",
            "a@-b",
            "a@b-",
            "a,b@c",
            "a@b,c@d",
            "a@[127.0.0.1]",
            "\"a b\"@c",
            "a\u{202e}@b",
            "a\n@b",
            " a@b",
            "a@b ",
            &long_user,
            &long_label,
            &long,
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn an_id_of_another_system_is_plain() {
        let long = "a".repeat(PLAIN_ID_BYTES_MAX);
        for good in ["cus_1", "A", &long] {
            assert!(is_plain_id(good), "{good}");
        }
        for bad in ["", "c&amount=1", "a/b", "a b", "ä", &format!("{long}a")] {
            assert!(!is_plain_id(bad), "{bad}");
        }
    }
}
