//! The company's logo: a small picture that travels with every mail.

use std::fs;
use std::path::Path;

use crate::error::TemplateProblem;

/// The Content-ID: `cid:logo` in the HTML.
pub(crate) const LOGO_ID: &str = "logo";
const LOGO_BYTES_MAX: usize = 256 * 1024;

/// A picture with its type.
#[derive(Debug, Clone)]
pub(crate) struct Logo {
    pub(crate) bytes: Vec<u8>,
    pub(crate) content_type: &'static str,
    ending: &'static str,
}

impl Logo {
    /// Reads a picture; its first bytes say what it is.
    pub(crate) fn read(path: &Path) -> Result<Self, TemplateProblem> {
        let problem =
            |message| TemplateProblem { file: path.display().to_string(), line: None, message };
        let bytes =
            fs::read(path).map_err(|error| problem(format!("the logo cannot be read: {error}")))?;
        if bytes.len() > LOGO_BYTES_MAX {
            let message = format!("a logo of {} bytes; {LOGO_BYTES_MAX} are allowed", bytes.len());
            return Err(problem(message));
        }
        let (content_type, ending) = match bytes.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => ("image/png", "png"),
            [0xff, 0xd8, 0xff, ..] => ("image/jpeg", "jpg"),
            [b'G', b'I', b'F', b'8', ..] => ("image/gif", "gif"),
            _ => return Err(problem("the logo is no picture; give a PNG, JPEG or GIF".to_owned())),
        };
        Ok(Self { bytes, content_type, ending })
    }

    pub(crate) fn file_name(&self) -> String {
        format!("{LOGO_ID}.{}", self.ending)
    }
}
