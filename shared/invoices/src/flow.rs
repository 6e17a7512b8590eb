//! Bands of text down the page, and on to the next page.

use crate::issuer::Colour;
use crate::logo::Logo;
use crate::shape::Shaped;
use crate::style::{MARGIN_BOTTOM, MARGIN_SIDE, MARGIN_TOP, Style};
use crate::text::Cleaner;
use crate::wrap::wrap;

/// The least room in which a band that is taller than a page begins.
pub(crate) const SPLIT_MIN: f32 = 60.0;

/// Something on a page; from the upper left corner, in points.
#[derive(Debug, Clone)]
pub(crate) enum Mark {
    /// A line of text; `y` is its base line.
    Text { x: f32, y: f32, text: Shaped, style: Style },
    /// A filled rectangle.
    Fill { x: f32, y: f32, width: f32, height: f32, colour: Colour },
    /// A picture.
    Picture { x: f32, y: f32, width: f32, height: f32, logo: Logo },
}

/// Which side of its column a text keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Lines of text in a column.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) x: f32,
    pub(crate) width: f32,
    pub(crate) align: Align,
    pub(crate) lines: Vec<(Shaped, Style)>,
}

impl Cell {
    /// An empty column.
    pub(crate) const fn new(x: f32, width: f32, align: Align) -> Self {
        Self { x, width, align, lines: Vec::new() }
    }

    /// Adds a text below what is there.
    pub(crate) fn add(mut self, cleaner: &mut Cleaner, text: &str, style: Style) -> Self {
        let lines = wrap(cleaner.clean(text), style.weight, self.width / style.size);
        self.lines.extend(lines.into_iter().map(|line| (line, style)));
        self
    }

    fn height(&self) -> f32 {
        self.lines.iter().map(|(_, style)| style.leading).sum()
    }

    /// Takes the lines that fit a height off the top; at least one, so that it ends.
    fn split(&mut self, height: f32) -> Self {
        let mut used = 0.0;
        let fits = self.lines.iter().take_while(|(_, style)| {
            used += style.leading;
            used <= height
        });
        let fits = fits.count().max(1).min(self.lines.len());
        let rest = self.lines.split_off(fits);
        let top = std::mem::replace(&mut self.lines, rest);
        Self { lines: top, ..*self }
    }
}

/// A rule below a band.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) x: f32,
    pub(crate) width: f32,
    pub(crate) thickness: f32,
    pub(crate) colour: Colour,
}

/// Columns side by side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Band {
    pub(crate) cells: Vec<Cell>,
    pub(crate) above: f32,
    pub(crate) below: f32,
    pub(crate) rule: Option<Rule>,
    /// A colour behind it, from `x` on and as wide as told.
    pub(crate) tint: Option<(f32, f32, Colour)>,
}

impl Band {
    /// Columns with room above and below.
    pub(crate) const fn new(cells: Vec<Cell>, above: f32, below: f32) -> Self {
        Self { cells, above, below, rule: None, tint: None }
    }

    /// Its height in points.
    pub(crate) fn height(&self) -> f32 {
        self.above + self.cells.iter().map(Cell::height).fold(0.0, f32::max) + self.below
    }
}

/// The pages so far.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) width: f32,
    pub(crate) height: f32,
    pub(crate) pages: Vec<Vec<Mark>>,
    y: f32,
    /// Repeated on every page but the first.
    running_head: Option<Band>,
    /// Repeated on a page that begins within a table.
    table_head: Option<Band>,
}

impl Flow {
    pub(crate) fn new((width, height): (f32, f32), running_head: Band) -> Self {
        let running_head = Some(running_head);
        let pages = vec![Vec::new()];
        Self { width, height, pages, y: MARGIN_TOP, running_head, table_head: None }
    }

    /// The width between the margins.
    pub(crate) const fn body_width(&self) -> f32 {
        self.width - 2.0 * MARGIN_SIDE
    }

    /// Leaves room, unless a page has just begun.
    pub(crate) fn space(&mut self, points: f32) {
        self.y += points;
    }

    /// Where the next band goes.
    pub(crate) const fn y(&self) -> f32 {
        self.y
    }

    /// Puts a mark on the page by hand.
    pub(crate) fn mark(&mut self, mark: Mark) {
        self.pages.last_mut().expect("there is a page").push(mark);
    }

    /// Begins a new page unless so much room is left on this one, or it would not help.
    pub(crate) fn reserve(&mut self, points: f32) {
        let most = self.bottom() - MARGIN_TOP - self.heads();
        if self.y + points > self.bottom() && points <= most {
            self.new_page();
        }
    }

    /// Repeats a band from here on at the top of pages, after placing it.
    pub(crate) fn begin_table(&mut self, head: Band) {
        self.draw(head.clone());
        self.table_head = Some(head);
    }

    pub(crate) fn end_table(&mut self) {
        self.table_head = None;
    }

    /// Places a band, with `keep` points of room left below it for what must not be parted from it.
    pub(crate) fn place(&mut self, mut band: Band, keep: f32) {
        self.reserve(band.height() + keep);
        self.reserve(band.height());
        self.reserve(band.height().min(SPLIT_MIN));
        while self.y + band.height() > self.bottom() {
            let room = self.bottom() - self.y - band.above;
            let cells = band.cells.iter_mut().map(|cell| cell.split(room)).collect();
            self.draw(Band { cells, rule: None, ..band.clone() });
            if band.cells.iter().all(|cell| cell.lines.is_empty()) {
                return;
            }
            self.new_page();
        }
        self.draw(band);
    }

    fn bottom(&self) -> f32 {
        self.height - MARGIN_BOTTOM
    }

    /// What a new page begins with.
    fn heads(&self) -> f32 {
        [&self.running_head, &self.table_head].into_iter().flatten().map(Band::height).sum()
    }

    fn new_page(&mut self) {
        self.pages.push(Vec::new());
        self.y = MARGIN_TOP;
        for head in [self.running_head.clone(), self.table_head.clone()].into_iter().flatten() {
            self.draw(head);
        }
    }

    fn draw(&mut self, band: Band) {
        let height = band.height();
        let (top, bottom) = (self.y, self.y + height);
        if let Some((x, width, colour)) = band.tint {
            self.mark(Mark::Fill { x, y: top, width, height, colour });
        }
        for cell in band.cells {
            let mut y = top + band.above;
            for (text, style) in cell.lines {
                let x = match cell.align {
                    Align::Left => cell.x,
                    Align::Right => cell.x + cell.width - text.width * style.size,
                };
                let base = y + baseline(style);
                y += style.leading;
                self.mark(Mark::Text { x, y: base, text, style });
            }
        }
        if let Some(Rule { x, width, thickness, colour }) = band.rule {
            self.mark(Mark::Fill { x, y: bottom - thickness, width, height: thickness, colour });
        }
        self.y = bottom;
    }
}

/// From the top of a line to the base of its letters, capitals in the middle of the line.
pub(crate) fn baseline(style: Style) -> f32 {
    const CAPITAL: f32 = 0.727;
    f32::midpoint(style.leading, CAPITAL * style.size)
}
