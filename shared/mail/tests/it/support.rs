//! What several tests need.

use std::path::PathBuf;

use mail::{Address, Attachment, Brand, Letter, Message, Parcel, Recipient, Templates, Welcome};
use values::Timestamp;

/// The smallest picture: one white pixel, GIF.
const PIXEL: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0!\xf9\x04\0\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

pub(crate) fn templates() -> Templates {
    load(Brand::example())
}

pub(crate) fn load(brand: Brand) -> Templates {
    Templates::load(brand, None).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The example brand with a logo in a folder, which has to live until it is loaded.
pub(crate) fn with_logo(folder: &tempfile::TempDir) -> Templates {
    let logo: PathBuf = folder.path().join("logo");
    std::fs::write(&logo, PIXEL).expect("a file");
    load(Brand { logo: Some(logo), ..Brand::example() })
}

pub(crate) fn pixel() -> Vec<u8> {
    PIXEL.to_vec()
}

pub(crate) fn welcome(name: &str) -> Message {
    Message::Welcome(Welcome { name: name.to_owned() })
}

pub(crate) fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

pub(crate) fn date() -> Timestamp {
    "2026-11-02T14:05:06Z".parse().expect("an instant")
}

/// A letter to an address, with an id that follows from it.
pub(crate) fn letter_to(templates: &Templates, to: &str) -> Letter {
    let to = Recipient::new(address(to), Some("Ann Lee"));
    letter(templates, "mail_01j", &to, &welcome("Ann Lee"), &[])
}

pub(crate) fn letter(
    templates: &Templates,
    id: &str,
    to: &Recipient,
    message: &Message,
    attachments: &[Attachment],
) -> Letter {
    templates.letter(&Parcel { id, date: date(), to, message, attachments }).expect("a letter")
}
