//! Tables: the first column takes the room the others leave, and the head comes again on every
//! page.

use crate::flow::{Align, Band, Cell, Flow, Rule, SPLIT_MIN};
use crate::shape::shape;
use crate::style::{GAP, HAIR, LABEL, MARGIN_SIDE, MUTED, SECTION, SECTION_GAP, Style};
use crate::text::Cleaner;

/// The share of the width that all columns but the first may take.
const OTHERS_MAX: f32 = 0.66;
/// The narrowest of them.
const COLUMN_MIN: f32 = 44.0;

/// One cell: its texts, each on lines of its own.
pub(crate) type Entry = Vec<(String, Style)>;

/// A table to be placed.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    /// Above the table, kept with its first row.
    pub(crate) title: Option<&'a str>,
    /// The heads; the first column is set left, the others right.
    pub(crate) heads: &'a [&'a str],
    /// As many entries a row as heads.
    pub(crate) rows: Vec<Vec<Entry>>,
    /// Points below the last row that must stay on its page.
    pub(crate) keep: f32,
}

impl Table<'_> {
    /// Places it row by row.
    pub(crate) fn place(self, flow: &mut Flow, cleaner: &mut Cleaner) {
        if self.rows.is_empty() {
            return;
        }
        let columns = self.columns(flow, cleaner);
        let width = flow.body_width();
        let title = self.title.map(|title| section(flow, cleaner, title));
        let heads = self.heads.iter().map(|head| vec![((*head).to_owned(), LABEL)]).collect();
        let mut head = row(cleaner, &columns, heads, (4.0, 5.0));
        head.rule = Some(Rule { x: MARGIN_SIDE, width, thickness: 0.8, colour: MUTED });

        let rows = self.rows.into_iter().map(|entries| {
            let mut band = row(cleaner, &columns, entries, (3.8, 4.4));
            band.rule = Some(Rule { x: MARGIN_SIDE, width, thickness: 0.5, colour: HAIR });
            band
        });
        let rows: Vec<Band> = rows.collect();
        // The last row never stands alone on a page, and what follows it stays with it.
        let mut keeps = vec![0.0; rows.len()];
        if let [.., before, last] = &mut keeps[..] {
            *before = rows.last().map_or(0.0, Band::height) + self.keep;
            *last = self.keep;
        } else if let [only] = &mut keeps[..] {
            *only = self.keep;
        }
        let opening = rows.first().map_or(0.0, Band::height) + keeps.first().unwrap_or(&0.0);
        let above = title.as_ref().map_or(0.0, Band::height) + head.height();
        flow.reserve(above + opening);
        flow.reserve(above + SPLIT_MIN);
        if let Some(title) = title {
            flow.place(title, 0.0);
        }
        flow.begin_table(head);
        for (band, keep) in rows.into_iter().zip(keeps) {
            flow.place(band, keep);
        }
        flow.end_table();
    }

    /// Left edge and width of each column.
    fn columns(&self, flow: &Flow, cleaner: &mut Cleaner) -> Vec<(f32, f32, Align)> {
        let others = self.heads.len().saturating_sub(1).max(1);
        #[expect(clippy::cast_precision_loss, reason = "a handful of columns")]
        let most = flow.body_width() * OTHERS_MAX / others as f32 - GAP;
        let mut columns = Vec::new();
        let mut right = MARGIN_SIDE + flow.body_width();
        for (at, head) in self.heads.iter().enumerate().skip(1).rev() {
            let least = measure(cleaner, head, LABEL).max(COLUMN_MIN);
            let texts = self.rows.iter().flat_map(|row| &row[at]);
            let widths = texts.map(|(text, style)| measure(cleaner, text, *style));
            let natural = widths.fold(least, f32::max);
            let width = natural.min(most) + 0.1;
            columns.push((right - width, width, Align::Right));
            right -= width + GAP;
        }
        columns.push((MARGIN_SIDE, right - MARGIN_SIDE, Align::Left));
        columns.reverse();
        columns
    }
}

/// The head of a section.
pub(crate) fn section(flow: &Flow, cleaner: &mut Cleaner, title: &str) -> Band {
    let cell = Cell::new(MARGIN_SIDE, flow.body_width(), Align::Left);
    Band::new(vec![cell.add(cleaner, title, SECTION)], SECTION_GAP, 2.0)
}

/// The width of a text on one line.
pub(crate) fn measure(cleaner: &mut Cleaner, text: &str, style: Style) -> f32 {
    shape(cleaner.clean(text), style.weight).width * style.size
}

fn row(
    cleaner: &mut Cleaner,
    columns: &[(f32, f32, Align)],
    entries: Vec<Entry>,
    (above, below): (f32, f32),
) -> Band {
    let cells = columns.iter().zip(entries).map(|(&(x, width, align), texts)| {
        let cell = Cell::new(x, width, align);
        texts.iter().fold(cell, |cell, (text, style)| cell.add(cleaner, text, *style))
    });
    Band::new(cells.collect(), above, below)
}
