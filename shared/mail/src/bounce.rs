//! Delivery status notifications (RFC 3464): what became of a mail after a server took it.

use mailparse::{MailHeaderMap, MailParseError, ParsedMail};

use crate::address::Address;

/// Recipients of one report that are read.
const RECIPIENTS_MAX: usize = 100;
/// Characters of a server's answer that are kept.
const ANSWER_CHARS_MAX: usize = 500;
/// Where a report's fields stand, also with addresses beyond ASCII (RFC 6533).
const STATUS_TYPES: [&str; 2] = ["message/delivery-status", "message/global-delivery-status"];
/// Where the mail stands that it is about, or its head.
const ORIGINAL_TYPES: [&str; 4] =
    ["message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"];

/// Why a mail that claims to be a report cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BounceError {
    /// It is no mail, or its parts are broken.
    #[error("this is no mail that can be read")]
    Unreadable(#[source] MailParseError),
    /// It is a report without a part that says what happened.
    #[error("the report has no part `message/delivery-status` with a recipient in it")]
    NoStatus,
}

/// What a server reports of one mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReport {
    /// What stands before the `@` in the Message-ID of the mail it is about: the id of an outbox
    /// row if we sent it.
    pub mail_id: Option<String>,
    /// The recipients that did not get it, or not yet; those who did are left out.
    pub recipients: Vec<UndeliveredTo>,
    /// What makes it the same report as another: it stays if the report is sent again.
    pub identity: Vec<u8>,
}

/// A recipient that did not get a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeliveredTo {
    /// The address that the mail was sent to, as far as the server knows it.
    pub address: Address,
    /// Whether it failed for good: a failure with a status of class 5.
    pub is_permanent: bool,
    /// The status (RFC 3463), such as `5.1.1`.
    pub status: Option<String>,
    /// What the refusing server said, on one line; may name the recipient.
    pub answer: Option<String>,
}

impl DeliveryReport {
    /// Reads a mail as it travels; `None` if it is no delivery report, such as a holiday notice.
    ///
    /// # Errors
    /// If it claims to be one and cannot be read.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, BounceError> {
        let mail = mailparse::parse_mail(without_envelope(bytes));
        let mail = mail.map_err(BounceError::Unreadable)?;
        if mail.headers.is_empty() {
            return Err(BounceError::Unreadable(MailParseError::Generic("it has no head")));
        }
        let Some(part) = find(&mail, &STATUS_TYPES) else {
            let claims = mail.ctype.mimetype == "multipart/report"
                && mail.ctype.params.get("report-type").is_none_or(|of| of == "delivery-status");
            return if claims { Err(BounceError::NoStatus) } else { Ok(None) };
        };
        let status = part.get_body_raw().map_err(BounceError::Unreadable)?;
        let groups = groups(&status)?;
        // The first group is about the report itself.
        if groups.len() < 2 {
            return Err(BounceError::NoStatus);
        }
        let original = find(&mail, &ORIGINAL_TYPES).map(ParsedMail::get_body_raw).transpose();
        let original = original.map_err(BounceError::Unreadable)?.unwrap_or_default();
        let message_id = message_id(&original);
        let mut identity =
            mail.headers.get_first_value("Message-ID").unwrap_or_default().into_bytes();
        identity.extend_from_slice(b"\n");
        // Pipes change how lines end.
        identity.extend(status.trim_ascii().iter().filter(|byte| **byte != b'\r'));
        let recipients = groups[1..].iter().filter_map(|group| undelivered(group)).collect();
        let mail_id = message_id.and_then(|id| Some(id.split_once('@')?.0.to_owned()));
        Ok(Some(Self { mail_id, recipients, identity }))
    }
}

/// A mail without the line of the envelope that servers put above it when they pipe it on.
fn without_envelope(bytes: &[u8]) -> &[u8] {
    let line = bytes.starts_with(b"From ").then(|| bytes.iter().position(|byte| *byte == b'\n'));
    line.flatten().map_or(bytes, |end| &bytes[end + 1..])
}

/// The first part of one of these types, in the order of the mail.
fn find<'m, 'b>(mail: &'m ParsedMail<'b>, types: &[&str]) -> Option<&'m ParsedMail<'b>> {
    let mut open = vec![mail];
    while let Some(part) = open.pop() {
        if types.contains(&part.ctype.mimetype.as_str()) {
            return Some(part);
        }
        open.extend(part.subparts.iter().rev());
    }
    None
}

/// A group of fields: names in lower case, and values on one line.
type Group = Vec<(String, String)>;

/// The groups of a report, which empty lines part.
fn groups(mut rest: &[u8]) -> Result<Vec<Group>, BounceError> {
    let mut groups = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() || groups.len() > RECIPIENTS_MAX {
            return Ok(groups);
        }
        let (fields, read) = mailparse::parse_headers(rest).map_err(BounceError::Unreadable)?;
        let field = |field: &mailparse::MailHeader<'_>| {
            (field.get_key().to_lowercase(), one_line(&field.get_value()))
        };
        groups.push(fields.iter().map(field).collect());
        rest = rest.get(read.max(1)..).unwrap_or_default();
    }
}

/// What a group says of its recipient, if that one did not get the mail.
fn undelivered(group: &[(String, String)]) -> Option<UndeliveredTo> {
    let field = |name: &str| group.iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
    let action = field("action").unwrap_or("failed").to_lowercase();
    let is_failure = action.starts_with("failed");
    if !is_failure && !action.starts_with("delayed") {
        return None;
    }
    // The original one is who was written to, and may be somebody's alias.
    let address = ["original-recipient", "final-recipient"].into_iter().find_map(|name| {
        let (_, address) = field(name)?.split_once(';')?;
        address.trim().trim_matches(['<', '>']).parse::<Address>().ok()
    })?;
    let answer = field("diagnostic-code");
    let answer = answer.map(|text| text.split_once(';').map_or(text, |(_, said)| said).trim());
    let status = field("status").and_then(status);
    // Some servers leave the status out, which their answer begins with.
    let class = status.as_deref().or(answer).and_then(|text| text.chars().next());
    Some(UndeliveredTo {
        address,
        is_permanent: is_failure && class == Some('5'),
        status,
        answer: answer.map(|text| text.chars().take(ANSWER_CHARS_MAX).collect()),
    })
}

/// A status of three numbers, without what may follow it.
fn status(text: &str) -> Option<String> {
    let word = text.split([' ', '(']).next()?;
    let parts: Vec<&str> = word.split('.').collect();
    let number =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    (parts.len() == 3 && parts.iter().all(number)).then(|| word.to_owned())
}

/// The Message-ID of a mail's head, without its brackets.
fn message_id(head: &[u8]) -> Option<String> {
    let (fields, _) = mailparse::parse_headers(head.trim_ascii_start()).ok()?;
    let id = fields.get_first_value("Message-ID")?;
    Some(id.trim().trim_start_matches('<').trim_end_matches('>').to_owned())
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests;
