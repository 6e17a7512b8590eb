//! A folder of `.eml` files, for a worker without a mail server.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::delivery::Delivery;
use crate::error::OpenError;
use crate::letter::Letter;

/// A folder that letters are written to; a letter appears whole or not at all.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn open(path: PathBuf) -> Result<Self, OpenError> {
        fs::create_dir_all(&path)
            .map_err(|cause| OpenError::Folder { folder: path.display().to_string(), cause })?;
        Ok(Self { path })
    }

    /// Writes a letter to a file whose name follows from its date and id: a repeat replaces it.
    pub(crate) async fn deliver(&self, letter: &Letter) -> Delivery {
        let file = self.path.join(format!("{}.eml", letter.file_name));
        let message = file.display().to_string();
        match write(file, letter.as_bytes().to_vec()).await {
            Ok(()) => Delivery::Sent { message },
            Err(error) => Delivery::Later { code: None, message: format!("{message}: {error}") },
        }
    }

    pub(crate) async fn check(&self) -> Result<(), String> {
        let file = self.path.join(".check");
        let written = write(file.clone(), Vec::new()).await;
        written
            .and_then(|()| fs::remove_file(file))
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

async fn write(file: PathBuf, bytes: Vec<u8>) -> io::Result<()> {
    let written = tokio::task::spawn_blocking(move || {
        let part = part_of(&file);
        let mut out = fs::File::create(&part)?;
        out.write_all(&bytes)?;
        out.sync_all()?;
        fs::rename(part, file)
    });
    written.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
}

/// Hidden, so that nobody takes it for a letter.
fn part_of(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.part"))
}
