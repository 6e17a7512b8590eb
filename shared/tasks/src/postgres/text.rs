//! Text that PostgreSQL takes: it has no character of number 0.

/// Shows a character of number 0 as one that cannot be shown, so that it fails nobody's transaction.
pub(super) fn clean(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.to_owned() }
}

/// The same for a text that may be absent.
pub(super) fn clean_option(text: Option<&str>) -> Option<String> {
    text.map(clean)
}
