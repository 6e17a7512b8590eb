//! What becomes of a text before it is printed: nothing hidden, nothing left out in silence.

use std::collections::BTreeSet;

use unicode_bidi::{BidiClass, bidi_class};

use crate::fonts::{self, Weight};

/// Marks above or below one letter; a pile of them would run over the lines around it.
const MAX_MARKS: usize = 4;

/// Makes texts printable and remembers the characters that no font has.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    missing: BTreeSet<char>,
}

impl Cleaner {
    /// Gives the text as it is printed, on one line.
    ///
    /// White space and control characters become single spaces. What changes the direction of text
    /// or takes no place goes, since it could make a document show something else than it says. A
    /// character that no font has is written as its code point: `[U+1F389]`.
    pub(crate) fn clean(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let (mut marks, mut joins) = (0, false);
        for c in text.chars() {
            if c.is_whitespace() || c.is_control() {
                if !out.is_empty() && !out.ends_with(' ') {
                    out.push(' ');
                }
                (marks, joins) = (0, false);
            } else if is_joiner(c) {
                if joins {
                    out.push(c);
                }
            } else if !is_hidden(c) {
                let known = fonts::face_with(c, Weight::Regular).is_some() && !is_private(c);
                marks = if bidi_class(c) == BidiClass::NSM { marks + 1 } else { 0 };
                joins = known && !c.is_ascii();
                match known {
                    true if marks <= MAX_MARKS => out.push(c),
                    true => {}
                    false => {
                        self.missing.insert(c);
                        out.extend(["[", &code_point(c), "]"]);
                    }
                }
            }
        }
        out.truncate(out.trim_end_matches(|c: char| c == ' ' || is_joiner(c)).len());
        out
    }

    /// The characters that no font has, in the order of their code points.
    pub(crate) fn missing(&self) -> Vec<char> {
        self.missing.iter().copied().collect()
    }
}

/// Writes a code point as its standard does: `U+1F389`.
pub(crate) fn code_point(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

/// Joins or parts letters of Arabic and Indic scripts.
const fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Takes no place: directions, invisible operators, variants, tags.
const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Means what a font wants it to mean, which no reader of the document can know.
const fn is_private(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, printed: &str) {
        assert_eq!(Cleaner::default().clean(text), printed, "{text:?}");
    }

    #[test]
    fn shows_what_would_hide() {
        check("  two\n\twords\u{0}\u{7f}here \u{85}", "two words here");
        check("pay \u{202e}0001\u{202c} now\u{200b}", "pay 0001 now");
        check("Caf\u{e9} \u{1f389} Ltd", "Café [U+1F389] Ltd");
        check("\u{e000}\u{ffff}", "[U+E000][U+FFFF]");
        check("a\u{200d}b\u{200c}", "ab");
        check("क\u{94d}\u{200d}ष", "क\u{94d}\u{200d}ष");
        check("\u{1f469}\u{200d}\u{1f680}", "[U+1F469][U+1F680]");
        check(&format!("e{}!", "\u{301}".repeat(40)), "e\u{301}\u{301}\u{301}\u{301}!");
        check(" \u{200b} ", "");
    }

    #[test]
    fn remembers_what_no_font_has() {
        let mut cleaner = Cleaner::default();
        cleaner.clean("\u{1f389}a\u{1f389}");
        cleaner.clean("\u{1200}");
        assert_eq!(cleaner.missing(), ['\u{1200}', '\u{1f389}']);
    }
}
