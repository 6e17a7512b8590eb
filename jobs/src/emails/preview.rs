//! Every mail with sample data, in the company's own brand and templates.

use mail::{Message, Parcel, Recipient, samples};
use values::Timestamp;

use super::settings::MailTemplates;

/// A mail as its readers would get it.
#[derive(Debug, Clone)]
pub struct MailPreview {
    /// What files of it are called, without ending: its name and, from the second on, a number.
    pub file: String,
    /// Its subject.
    pub subject: String,
    /// Its text part.
    pub text: String,
    /// Its HTML part.
    pub html: String,
    /// The whole mail, as mail programs open it.
    pub eml: Vec<u8>,
    /// The fields that its template may use, with their values, as JSON.
    pub fields: String,
}

/// Writes the samples of the mail called `name`, or of all mails.
///
/// # Errors
/// Which names there are, or what is wrong with a template.
pub fn preview_mails(
    mail: &MailTemplates,
    name: Option<&str>,
    now: Timestamp,
) -> Result<Vec<MailPreview>, String> {
    if let Some(name) = name
        && !Message::NAMES.contains(&name)
    {
        let names = Message::NAMES.join(", ");
        let near = values::did_you_mean(name, Message::NAMES.iter().copied())
            .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        return Err(format!("there is no mail of that name{near}; there are {names}"));
    }
    let reader: mail::Address = "reader@example.org".parse().expect("a good address");
    let reader = Recipient::new(reader, Some("Ann Lee"));
    let mut previews: Vec<MailPreview> = Vec::new();
    let mut latest = ("", 0_u32);
    for message in samples().iter().filter(|message| name.is_none_or(|n| message.name() == n)) {
        // Samples of one mail follow each other.
        let number = if latest.0 == message.name() { latest.1 + 1 } else { 1 };
        latest = (message.name(), number);
        let file = match number {
            1 => message.name().to_owned(),
            _ => format!("{}-{number}", message.name()),
        };
        let rendered = mail.templates.render(message).map_err(|problem| problem.to_string())?;
        let parcel = Parcel { id: &file, date: now, to: &reader, message, attachments: &[] };
        let letter = mail.templates.letter(&parcel).map_err(|error| error.to_string())?;
        let eml = letter.as_bytes().to_vec();
        let fields = serde_json::to_string_pretty(message).map_err(|error| error.to_string())?;
        let (subject, text, html) = (rendered.subject, rendered.text, rendered.html);
        previews.push(MailPreview { file, subject, text, html, eml, fields });
    }
    Ok(previews)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_every_mail_under_a_name_of_its_own() {
        let mail = MailTemplates::read(&serde_json::Map::new()).unwrap();
        let previews = |name| preview_mails(&mail, name, Timestamp::EPOCH);
        let all = previews(None).unwrap();
        let files: std::collections::BTreeSet<&str> =
            all.iter().map(|preview| &*preview.file).collect();
        assert_eq!(files.len(), all.len());
        assert!(Message::NAMES.iter().all(|name| files.contains(name)), "{files:?}");
        let one = previews(Some("welcome")).unwrap();
        assert!(one[0].html.contains("Ann Lee") && !one[0].eml.is_empty());
        assert!(one[0].fields.contains("\"name\": \"Ann Lee\""), "{}", one[0].fields);
        let error = previews(Some("welcom")).unwrap_err();
        assert!(error.contains("did you mean `welcome`"), "{error}");
    }
}
