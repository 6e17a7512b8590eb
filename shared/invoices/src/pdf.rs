//! Pages to bytes: PDF/A-2u, which demands embedded fonts, no missing glyph, and text that reads.

use krilla::color::rgb;
use krilla::configure::validate::Archival;
use krilla::configure::{Configuration, ConfigurationBuilder};
use krilla::error::KrillaError;
use krilla::geom::{PathBuilder, Point, Rect, Size, Transform};
use krilla::metadata::Metadata;
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::{Document, SerializeSettings};
use values::Timestamp;

use crate::flow::Mark;
use crate::issuer::Colour;
use crate::shape::Shaped;
use crate::style::Style;
use crate::{InvoiceError, Logo, dates, fonts};

/// Writes pages of one size.
pub(crate) fn write(
    (width, height): (f32, f32),
    pages: Vec<Vec<Mark>>,
    metadata: Metadata,
) -> Result<Vec<u8>, InvoiceError> {
    let settings = SerializeSettings {
        configuration: archival(),
        enable_tagging: false,
        ..Default::default()
    };
    let mut document = Document::new_with(settings);
    document.set_metadata(metadata);
    for marks in pages {
        let size = PageSettings::from_wh(width, height).expect("paper has a size");
        let mut page = document.start_page_with(size);
        let mut surface = page.surface();
        for mark in marks {
            draw(&mut surface, mark);
        }
        surface.finish();
        page.finish();
    }
    document.finish().map_err(refused)
}

/// Draws a logo alone, to learn whether it can be.
pub(crate) fn try_logo(logo: &Logo) -> Result<(), InvoiceError> {
    let (width, height) = logo.fit(100.0, 100.0);
    let picture = Mark::Picture { x: 0.0, y: 0.0, width, height, logo: logo.clone() };
    let metadata = Metadata::new()
        .title("Logo".to_owned())
        .language("en".to_owned())
        .creation_date(dates::metadata(Timestamp::EPOCH));
    write((100.0, 100.0), vec![vec![picture]], metadata).map(drop)
}

fn archival() -> Configuration {
    let archival = ConfigurationBuilder::new().with_archival_validator(Archival::A2_U);
    archival.finish().expect("one standard does not contradict itself")
}

fn draw(surface: &mut Surface<'_>, mark: Mark) {
    match mark {
        Mark::Text { x, y, text, style } => draw_text(surface, (x, y), &text, style),
        Mark::Fill { x, y, width, height, colour } => {
            let mut path = PathBuilder::new();
            let Some(area) = Rect::from_xywh(x, y, width, height) else { return };
            path.push_rect(area);
            surface.set_fill(Some(fill(colour)));
            if let Some(path) = path.finish() {
                surface.draw_path(&path);
            }
        }
        Mark::Picture { x, y, width, height, logo } => {
            let Some(size) = Size::from_wh(width, height) else { return };
            surface.push_transform(&Transform::from_translate(x, y));
            surface.draw_image(logo.image().clone(), size);
            surface.pop();
        }
    }
}

fn draw_text(surface: &mut Surface<'_>, (mut x, y): (f32, f32), text: &Shaped, style: Style) {
    surface.set_fill(Some(fill(style.colour)));
    for run in &text.runs {
        let font = fonts::faces()[run.face].embedded.clone();
        let start = Point::from_xy(x, y);
        surface.draw_glyphs(start, &run.glyphs, font, &text.text, style.size, false);
        x += run.width * style.size;
    }
}

fn fill(Colour(red, green, blue): Colour) -> Fill {
    Fill { paint: rgb::Color::new(red, green, blue).into(), ..Fill::default() }
}

/// Says what the library found, without the fonts and pictures its errors carry.
fn refused(error: KrillaError) -> InvoiceError {
    let why = match error {
        KrillaError::Validation(found) => {
            let first = found.first().map(|(error, _)| format!("{error:?}")).unwrap_or_default();
            format!("PDF/A-2u does not allow {}", first.chars().take(200).collect::<String>())
        }
        KrillaError::Image(_, _, why) => format!("the picture is broken: {why}"),
        KrillaError::Font(_, why) => format!("a font is broken: {why}"),
        KrillaError::Limit(_) => "it is larger than a PDF can be".to_owned(),
        other => format!("{other:?}").chars().take(200).collect(),
    };
    InvoiceError::Pdf { why }
}
