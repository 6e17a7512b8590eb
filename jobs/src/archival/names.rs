//! What names of recorded files say, and what names recordings get.

/// Bytes of a recording's name without ending; the suffixes still fit into a file name.
const STEM_BYTES_MAX: usize = 200;
/// Digits of a take's number, as in `abc_1234.mp4`.
const TAKE_DIGITS: usize = 4;
/// Digits of a time in seconds since 1970, as in `abc-1790000000.flv`.
const EPOCH_DIGITS: usize = 10;

/// The streams that a recording may be of, likeliest first.
///
/// The name up to the first dot, as names of streams may themselves end in digits; then without
/// the number of a take; then without the time that a recorder added.
pub(crate) fn stream_names(file_name: &str) -> Vec<String> {
    let exact = file_name.split('.').next().unwrap_or_default();
    let shorter = [cut_digits(exact, '_', TAKE_DIGITS), cut_digits(exact, '-', EPOCH_DIGITS)];
    let names = std::iter::once(exact).chain(shorter.into_iter().flatten());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The name without a separator and exactly so many digits at its end.
fn cut_digits(name: &str, separator: char, digits: usize) -> Option<&str> {
    let (front, end) = name.rsplit_once(separator)?;
    (end.len() == digits && end.bytes().all(|byte| byte.is_ascii_digit())).then_some(front)
}

/// The name of a recording without ending, fit to be a part of an object's key.
///
/// Control characters, slashes and backslashes become `_`; what is too long is cut off.
pub(crate) fn stem(file_name: &str) -> String {
    let stem = match file_name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file_name,
    };
    let plain = |letter: char| {
        if letter.is_control() || matches!(letter, '/' | '\\') { '_' } else { letter }
    };
    let mut plain: String = stem.chars().map(plain).collect();
    while plain.len() > STEM_BYTES_MAX {
        plain.pop();
    }
    // `..` and hidden names mean something in folders.
    if plain.starts_with('.') { format!("_{plain}") } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_stream_of_all_generations_of_names() {
        for (name, expected) in [
            ("abc.mp4", vec!["abc"]),
            ("abc.3.mp4", vec!["abc"]),
            ("abc_1234.mp4", vec!["abc_1234", "abc"]),
            ("abc.20141008T191601.mp4", vec!["abc"]),
            ("abc.20141007T191714+0000.flv", vec!["abc"]),
            ("abc.1412521527733_4694.mp4", vec!["abc"]),
            ("abc_123.mp4", vec!["abc_123"]),
            ("abc_12345.mp4", vec!["abc_12345"]),
            ("abc-1790000000.flv", vec!["abc-1790000000", "abc"]),
            ("_1234.mp4", vec!["_1234"]),
            (".flv", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(stream_names(name), expected, "{name}");
        }
    }

    #[test]
    fn makes_any_name_fit_a_key() {
        assert_eq!(stem("abc.20141008T191601.flv"), "abc.20141008T191601");
        assert_eq!(stem("a\nb\u{7f}.flv"), "a_b_");
        assert_eq!(stem("..\\..\\x.flv"), "_.._.._x");
        assert_eq!(stem("🎥 live.flv"), "🎥 live");
        assert_eq!(stem(".flv"), "_.flv");
        let long = stem(&format!("{}.flv", "é".repeat(300)));
        assert_eq!((long.len(), long.chars().count()), (200, 100));
    }
}
