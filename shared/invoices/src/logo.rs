//! The issuer's logo: a PNG or JPEG picture, looked at once.

use std::fmt;

use krilla::image::Image;

use crate::InvoiceError;

/// The largest picture in bytes; every document carries it.
pub const MAX_LOGO_BYTES: usize = 512 * 1024;
/// The longest side of a picture in pixels.
pub const MAX_LOGO_SIDE: u32 = 2_000;
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff";

/// A picture that can be printed. Cheap to clone.
#[derive(Clone)]
pub struct Logo(Image);

impl Logo {
    /// Reads a PNG or JPEG file.
    ///
    /// # Errors
    /// [`InvoiceError::Logo`] for any other file, a broken one, or one beyond [`MAX_LOGO_BYTES`] or
    /// [`MAX_LOGO_SIDE`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, InvoiceError> {
        let refuse = |why: String| InvoiceError::Logo { why };
        if bytes.len() > MAX_LOGO_BYTES {
            return Err(refuse(format!("it has {} bytes, {MAX_LOGO_BYTES} at most", bytes.len())));
        }
        let read = match bytes.as_slice() {
            png if png.starts_with(PNG) => Image::from_png(bytes.into(), false),
            jpeg if jpeg.starts_with(JPEG) => Image::from_jpeg(bytes.into(), false),
            _ => return Err(refuse("it is neither PNG nor JPEG".to_owned())),
        };
        let image = read.map_err(refuse)?;
        match image.size() {
            (1..=MAX_LOGO_SIDE, 1..=MAX_LOGO_SIDE) => {}
            (width, height) => {
                return Err(refuse(format!("{width} x {height} pixels, {MAX_LOGO_SIDE} at most")));
            }
        }
        // Only drawing decodes it; what is broken inside shall be known now.
        let logo = Self(image);
        crate::pdf::try_logo(&logo).map_err(|error| refuse(error.to_string()))?;
        Ok(logo)
    }

    pub(crate) const fn image(&self) -> &Image {
        &self.0
    }

    /// Width and height in points that fill a box without distortion.
    #[expect(clippy::cast_precision_loss, reason = "sides are 2,000 pixels at most")]
    pub(crate) fn fit(&self, width: f32, height: f32) -> (f32, f32) {
        let (across, down) = self.0.size();
        let (across, down) = (across as f32, down as f32);
        let scale = (width / across).min(height / down);
        (across * scale, down * scale)
    }
}

impl fmt::Debug for Logo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.0.size();
        write!(f, "Logo({width} x {height})")
    }
}
