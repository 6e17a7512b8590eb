//! Text to glyphs: which font, which direction, which forms.

use std::ops::Range;

use harfrust::{Direction, ShapeOptions, UnicodeBuffer};
use krilla::text::{GlyphId, KrillaGlyph};
use unicode_bidi::{BidiClass, BidiInfo, bidi_class};

use crate::fonts::{self, FEATURES, Weight};

/// One line of text in glyphs. Measures are in ems: times the size they are points.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shaped {
    /// The text the glyphs' ranges are in.
    pub(crate) text: String,
    /// From left to right.
    pub(crate) runs: Vec<Run>,
    /// The width of all runs.
    pub(crate) width: f32,
}

/// Glyphs of one font and direction.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The font.
    pub(crate) face: usize,
    /// From left to right.
    pub(crate) glyphs: Vec<KrillaGlyph>,
    /// The sum of the advances.
    pub(crate) width: f32,
}

/// Shapes a text of [`crate::text::Cleaner`] as one line.
pub(crate) fn shape(text: String, weight: Weight) -> Shaped {
    let mut runs = Vec::new();
    if text.is_ascii() {
        if !text.is_empty() {
            runs.push(shape_run(&text, 0..text.len(), fonts::text_face(weight), false));
        }
    } else {
        let bidi = BidiInfo::new(&text, None);
        for paragraph in &bidi.paragraphs {
            let (levels, pieces) = bidi.visual_runs(paragraph, paragraph.range.clone());
            for piece in pieces {
                let rtl = levels[piece.start].is_rtl();
                let mut parts = by_face(&text, piece, weight);
                if rtl {
                    parts.reverse();
                }
                let part = |(range, face)| shape_run(&text, range, face, rtl);
                runs.extend(parts.into_iter().map(part));
            }
        }
    }
    let width = runs.iter().map(|run: &Run| run.width).sum();
    Shaped { text, runs, width }
}

/// Cuts a piece of one direction where the font changes.
fn by_face(text: &str, piece: Range<usize>, weight: Weight) -> Vec<(Range<usize>, usize)> {
    let mut parts: Vec<(Range<usize>, usize)> = Vec::new();
    for (at, c) in text[piece.clone()].char_indices() {
        let (start, end) = (piece.start + at, piece.start + at + c.len_utf8());
        match parts.last_mut() {
            Some((range, face)) if stays(c, *face) => range.end = end,
            last => {
                let face = fonts::face_with(c, weight).unwrap_or_else(|| fonts::text_face(weight));
                match last {
                    Some((range, same)) if *same == face => range.end = end,
                    _ => parts.push((start..end, face)),
                }
            }
        }
    }
    parts
}

/// Whether a character goes with the one before it: marks, joiners, and spaces.
fn stays(c: char, face: usize) -> bool {
    match bidi_class(c) {
        BidiClass::BN => true,
        BidiClass::NSM | BidiClass::WS => fonts::has(face, c),
        _ => false,
    }
}

fn shape_run(text: &str, range: Range<usize>, face: usize, rtl: bool) -> Run {
    let font = &fonts::faces()[face];
    let mut buffer = UnicodeBuffer::new();
    buffer.push_str(&text[range.clone()]);
    buffer.set_direction(if rtl { Direction::RightToLeft } else { Direction::LeftToRight });
    buffer.guess_segment_properties();
    let shaper = font.shaper.shaper(&font.font).build();
    let options = ShapeOptions::new().features(&FEATURES[..]);
    let placed = shaper.shape(buffer, options);
    let (infos, positions) = (placed.glyph_infos(), placed.glyph_positions());

    let mut starts: Vec<usize> = infos.iter().map(|info| info.cluster as usize).collect();
    starts.sort_unstable();
    starts.dedup();
    let end_of = |start: usize| {
        let next = starts.partition_point(|&other| other <= start);
        starts.get(next).copied().unwrap_or(range.len())
    };
    let em = |units: i32| ems(units, font.units_per_em);
    let glyphs: Vec<KrillaGlyph> = infos
        .iter()
        .zip(positions)
        .map(|(info, position)| KrillaGlyph {
            glyph_id: GlyphId::new(info.glyph_id),
            text_range: range.start + info.cluster as usize
                ..range.start + end_of(info.cluster as usize),
            x_advance: em(position.x_advance),
            x_offset: em(position.x_offset),
            y_offset: em(position.y_offset),
            y_advance: 0.0,
            location: None,
        })
        .collect();
    let width = glyphs.iter().map(|glyph| glyph.x_advance).sum();
    Run { face, glyphs, width }
}

#[expect(clippy::cast_precision_loss, reason = "a glyph is far narrower than 2^24 units")]
fn ems(units: i32, units_per_em: f32) -> f32 {
    units as f32 / units_per_em
}
