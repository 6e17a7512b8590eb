//! A mail as it travels: MIME, complete, for one recipient.

mod logo;

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment as Part, Body, Mailbox, Message as Mime, MultiPart, SinglePart};
use values::Timestamp;

use crate::address::{Address, Recipient};
use crate::brand::Brand;
use crate::check::is_one_line;
use crate::error::MailError;
use crate::message::Message;
use crate::templates::Rendered;

pub(crate) use logo::{LOGO_ID, Logo};

/// How large a letter may be, all parts encoded; most servers take no more.
pub const LETTER_BYTES_MAX: usize = 10 * 1024 * 1024;
const ID_CHARS_MAX: usize = 100;

/// What makes one letter.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// The id of the outbox row: 1 to 100 letters, digits, `_`, `-` or `.`. The same id makes the
    /// same Message-ID, by which servers and readers recognise a repeat.
    pub id: &'a str,
    /// The date in its head: that of the row, so that a repeat is the same mail.
    pub date: Timestamp,
    /// The one who gets it; nobody else is named in it.
    pub to: &'a Recipient,
    /// What it says.
    pub message: &'a Message,
    /// Files that come with it.
    pub attachments: &'a [Attachment],
}

/// A file that comes with a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    name: String,
    content_type: &'static str,
    bytes: Vec<u8>,
}

impl Attachment {
    /// Attaches a PDF; `name` is shown to the reader, such as `INV-004711.pdf`.
    pub fn pdf(name: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), content_type: "application/pdf", bytes }
    }
}

/// A mail that is ready to be delivered, as often as it takes; the same bytes each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) message_id: String,
    /// What a file of it is called, without ending.
    pub(crate) file_name: String,
    bytes: Vec<u8>,
}

impl Letter {
    /// The Message-ID with its angle brackets.
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// Who gets it.
    pub fn to(&self) -> &Address {
        &self.to
    }

    /// The whole mail, lines ended by CRLF.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Puts a rendered message, the logo and the attachments together.
pub(crate) fn assemble(
    brand: &Brand,
    logo: Option<&Logo>,
    rendered: &Rendered,
    parcel: &Parcel<'_>,
) -> Result<Letter, MailError> {
    let &Parcel { id, date, to, message, attachments } = parcel;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if id.is_empty() || id.len() > ID_CHARS_MAX || !id.chars().all(plain) {
        return Err(MailError::BadId);
    }
    one_line("subject", &rendered.subject)?;
    one_line("recipient's name", to.name.as_deref().unwrap_or_default())?;
    for attachment in attachments {
        one_line("attachment's name", &attachment.name)?;
    }
    let message_id = format!("<{id}@{}>", brand.from.domain());
    let sender = |address: &Address| Mailbox::new(Some(brand.company.clone()), address.to_lettre());
    let mime = Mime::builder()
        .message_id(Some(message_id.clone()))
        .date(UNIX_EPOCH + Duration::from_secs(date.as_seconds().try_into().unwrap_or(0)))
        .from(sender(&brand.from))
        .reply_to(sender(brand.reply_to.as_ref().unwrap_or(&brand.support)))
        .to(Mailbox::new(to.name.clone(), to.address.to_lettre()))
        .subject(rendered.subject.clone())
        // No holiday notices in answer to it (RFC 3834).
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .multipart(parts(id, logo, rendered, attachments))
        .map_err(MailError::Assemble)?;
    let bytes = mime.formatted();
    if bytes.len() > LETTER_BYTES_MAX {
        return Err(MailError::TooLarge { bytes: bytes.len() });
    }
    let time = date.to_string().replace([':', '-'], "");
    Ok(Letter {
        from: brand.from.clone(),
        to: to.address.clone(),
        message_id,
        file_name: format!("{}_{}_{id}", time.get(..15).unwrap_or_default(), message.name()),
        bytes,
    })
}

fn one_line(field: &'static str, text: &str) -> Result<(), MailError> {
    if is_one_line(text) { Ok(()) } else { Err(MailError::NotOneLine { field }) }
}

/// The text, or else the HTML with its logo; and around both, if there are any, the attachments.
fn parts(
    id: &str,
    logo: Option<&Logo>,
    rendered: &Rendered,
    attachments: &[Attachment],
) -> MultiPart {
    // Boundaries that follow from the id: a repeat is the same mail to the byte.
    let boundary = |kind| format!("=_{kind}_{id}");
    let text = words(ContentType::TEXT_PLAIN, &rendered.text);
    let html = words(ContentType::TEXT_HTML, &rendered.html);
    let letter = MultiPart::alternative().boundary(boundary("alternative")).singlepart(text);
    let letter = match logo {
        Some(logo) => {
            let image = Part::new_inline_with_name(LOGO_ID.to_owned(), logo.file_name())
                .body(base64(&logo.bytes), content_type(logo.content_type));
            let related = MultiPart::related().boundary(boundary("related"));
            letter.multipart(related.singlepart(html).singlepart(image))
        }
        None => letter.singlepart(html),
    };
    if attachments.is_empty() {
        return letter;
    }
    let mixed = MultiPart::mixed().boundary(boundary("mixed")).multipart(letter);
    attachments.iter().fold(mixed, |mixed, attachment| {
        let part = Part::new(attachment.name.clone());
        mixed
            .singlepart(part.body(base64(&attachment.bytes), content_type(attachment.content_type)))
    })
}

/// Quoted-printable whatever the language: lines stay short, and readable in a file.
fn words(content_type: ContentType, words: &str) -> SinglePart {
    let encoding = ContentTransferEncoding::QuotedPrintable;
    let body = Body::new_with_encoding(words.to_owned(), encoding);
    SinglePart::builder().header(content_type).body(body.expect("quoted-printable takes any text"))
}

/// Base64 also where all bytes look like text, so that nobody on the way touches them.
fn base64(bytes: &[u8]) -> Body {
    let body = Body::new_with_encoding(bytes.to_vec(), ContentTransferEncoding::Base64);
    body.expect("base64 takes any bytes")
}

fn content_type(name: &'static str) -> ContentType {
    ContentType::parse(name).expect("a well-known type")
}
