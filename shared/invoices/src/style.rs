//! The look: sizes, colours and distances, in points.

use crate::fonts::Weight;
use crate::issuer::Colour;

/// How a text is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Light or heavy.
    pub(crate) weight: Weight,
    /// The size of the letters.
    pub(crate) size: f32,
    /// From one line to the next.
    pub(crate) leading: f32,
    /// Its colour.
    pub(crate) colour: Colour,
}

const fn style(weight: Weight, size: f32, leading: f32, colour: Colour) -> Style {
    Style { weight, size, leading, colour }
}

/// Text.
pub(crate) const INK: Colour = Colour(23, 28, 38);
/// Labels and small print; still seven to one on white.
pub(crate) const MUTED: Colour = Colour(84, 92, 106);
/// Thin rules.
pub(crate) const HAIR: Colour = Colour(218, 222, 229);
/// Behind the amount due.
pub(crate) const TINT: Colour = Colour(244, 246, 249);

/// The kind of document.
pub(crate) const TITLE: Style = style(Weight::Strong, 20.0, 26.0, INK);
/// The issuer's name in place of a logo.
pub(crate) const BRAND: Style = style(Weight::Strong, 15.0, 20.0, INK);
/// The amount in one sentence.
pub(crate) const LEAD: Style = style(Weight::Strong, 14.0, 19.0, INK);
/// The head of a section.
pub(crate) const SECTION: Style = style(Weight::Strong, 10.5, 15.0, INK);
/// Text.
pub(crate) const BODY: Style = style(Weight::Regular, 9.0, 12.6, INK);
/// Names and sums.
pub(crate) const STRONG: Style = style(Weight::Strong, 9.0, 12.6, INK);
/// What is left to pay.
pub(crate) const TOTAL: Style = style(Weight::Strong, 11.0, 15.0, INK);
/// Text that steps back.
pub(crate) const QUIET: Style = style(Weight::Regular, 9.0, 12.6, MUTED);
/// Labels, heads of columns.
pub(crate) const LABEL: Style = style(Weight::Strong, 7.5, 11.0, MUTED);
/// Labels above a block of text.
pub(crate) const OVERLINE: Style = style(Weight::Strong, 7.5, 14.0, MUTED);
/// Small print.
pub(crate) const SMALL: Style = style(Weight::Regular, 7.5, 10.8, MUTED);

/// Left and right of the text.
pub(crate) const MARGIN_SIDE: f32 = 48.0;
/// Above the text of every page.
pub(crate) const MARGIN_TOP: f32 = 44.0;
/// Below the text; the footer stands in it.
pub(crate) const MARGIN_BOTTOM: f32 = 58.0;
/// From the footer's first line to the edge of the paper.
pub(crate) const FOOTER: f32 = 42.0;
/// The coloured band at the top of the first page.
pub(crate) const ACCENT_BAND: f32 = 5.0;
/// The most room a logo takes.
pub(crate) const LOGO: (f32, f32) = (170.0, 44.0);
/// Between columns.
pub(crate) const GAP: f32 = 16.0;
/// Above a section.
pub(crate) const SECTION_GAP: f32 = 16.0;
