//! The fonts that come with the program, and which of them has a character.
//!
//! `fonts/README.md` says where each is from and under which licence.

use std::fmt;
use std::sync::LazyLock;

use harfrust::{Feature, ShaperData, Tag};
use skrifa::{FontRef, MetadataProvider, charmap::Charmap};

/// Light or heavy; scripts beyond Latin, Greek and Cyrillic have one weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Running text.
    Regular,
    /// Names, heads and totals.
    Strong,
}

/// One font.
pub(crate) struct Face {
    /// What the PDF embeds.
    pub(crate) embedded: krilla::text::Font,
    /// What shaping reads.
    pub(crate) font: FontRef<'static>,
    /// What shaping prepares once.
    pub(crate) shaper: ShaperData,
    /// Units of an em.
    pub(crate) units_per_em: f32,
    charmap: Charmap<'static>,
}

impl fmt::Debug for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Face")
    }
}

const FILES: [&[u8]; 11] = [
    include_bytes!("../fonts/Inter-Regular.otf"),
    include_bytes!("../fonts/Inter-SemiBold.otf"),
    include_bytes!("../fonts/NotoSansArabic-Regular.ttf"),
    include_bytes!("../fonts/NotoSansHebrew-Regular.ttf"),
    include_bytes!("../fonts/NotoSansThai-Regular.ttf"),
    include_bytes!("../fonts/NotoSansDevanagari-Regular.ttf"),
    include_bytes!("../fonts/NotoSansBengali-Regular.ttf"),
    include_bytes!("../fonts/NotoSansTamil-Regular.ttf"),
    include_bytes!("../fonts/NotoSansArmenian-Regular.ttf"),
    include_bytes!("../fonts/NotoSansGeorgian-Regular.ttf"),
    include_bytes!("../fonts/DroidSansFallback.ttf"),
];
/// The first of the fonts that have one weight only.
const FALLBACKS: usize = 2;

static FACES: LazyLock<Vec<Face>> = LazyLock::new(|| FILES.iter().map(|file| open(file)).collect());

/// Figures of one width, so that columns of them align; no arrows made of `->`.
pub(crate) static FEATURES: LazyLock<[Feature; 2]> = LazyLock::new(|| {
    [Feature::new(Tag::new(b"tnum"), 1, ..), Feature::new(Tag::new(b"calt"), 0, ..)]
});

/// All fonts; a face is known by its index.
pub(crate) fn faces() -> &'static [Face] {
    &FACES
}

/// The font that has a character: the text font if it can, else the first of the others.
pub(crate) fn face_with(c: char, weight: Weight) -> Option<usize> {
    let text = text_face(weight);
    match c {
        ' '..='~' => Some(text),
        _ if has(text, c) => Some(text),
        _ => (FALLBACKS..FILES.len()).find(|&face| has(face, c)),
    }
}

/// The font of running text.
pub(crate) const fn text_face(weight: Weight) -> usize {
    match weight {
        Weight::Regular => 0,
        Weight::Strong => 1,
    }
}

/// Whether a font has a character.
pub(crate) fn has(face: usize, c: char) -> bool {
    FACES[face].charmap.map(c).is_some_and(|glyph| glyph.to_u32() != 0)
}

fn open(file: &'static [u8]) -> Face {
    let font = FontRef::new(file).expect("a font of the program can be read");
    let embedded = krilla::text::Font::new(file.into(), 0).expect("and embedded");
    Face {
        units_per_em: embedded.units_per_em(),
        embedded,
        shaper: ShaperData::new(&font),
        charmap: font.charmap(),
        font,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_weights_have_the_same_characters() {
        for c in (' '..='\u{ffff}').filter(|c| has(0, *c) || has(1, *c)) {
            assert!(has(0, c) && has(1, c), "{c:?}");
        }
    }

    #[test]
    fn knows_the_scripts_it_promises() {
        let check = |text: &str| {
            for c in text.chars() {
                assert!(face_with(c, Weight::Strong).is_some(), "{c:?} of {text}");
            }
        };
        check("ÀÿŁőșțŽẞ ΑΩάώ АЯёђґўқ Tiếng Việt ₫€£¥₹₽₩₿ №–—“”„«»…•°×−→");
        check("中文繁體龍 ひらがなカタカナ 한국어훈민정음 （）「」、。");
        check("العربية فارسی پژگچ עברית ไทย हिन्दी বাংলা தமிழ் Հայերեն ქართული");
        assert_eq!(face_with('🎉', Weight::Regular), None);
    }
}
