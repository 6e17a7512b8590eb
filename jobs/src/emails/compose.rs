//! Rows of the outbox, made of messages; every job that writes mail or tells admins uses these.

use contract::emails::{CollectWaiting, DeliverEmail};
use job::{JobError, Outcome};
use mail::{AdminEvent, Message};
use models::outbox::{EmailAttachment, NewEmail, NewEvent};
use scheduling::{Scope, TaskOptions, Unique};
use values::{AccountId, EmailId, Timestamp};

/// A mail that is to be written.
pub(crate) struct Mailing<'a> {
    /// What makes it the same mail as another, sent once: `card_declined/acct_.../2026-10`.
    pub(crate) unique_key: String,
    /// The account it is about.
    pub(crate) account_id: Option<AccountId>,
    /// The address it goes to.
    pub(crate) to: &'a str,
    /// The name beside the address.
    pub(crate) name: Option<&'a str>,
    /// What it says.
    pub(crate) message: &'a Message,
    /// PDFs that come with it.
    pub(crate) attachments: Vec<EmailAttachment>,
}

impl Mailing<'_> {
    /// Makes the row; add it with `models::outbox::add` in the transaction of its cause, and
    /// [`deliver`] the outcome.
    pub(crate) fn row(self, now: Timestamp) -> Result<NewEmail, JobError> {
        let Self { unique_key, account_id, to, name, message, attachments } = self;
        Ok(NewEmail {
            id: EmailId::new(now, tasks::random_bytes()),
            unique_key,
            kind: message.name().to_owned(),
            account_id,
            recipient: to.to_owned(),
            recipient_name: name.map(str::to_owned),
            data: json(message)?,
            attachments,
            created_at: now,
        })
    }
}

/// Makes the row of an event for the admins; note it with `models::outbox::note_event`.
pub(crate) fn event(unique_key: String, event: &AdminEvent) -> Result<NewEvent, JobError> {
    let is_alert = !event.kind.is_routine();
    Ok(NewEvent { unique_key, is_alert, data: json(event)?, at: event.at })
}

/// Adds the task that gets the mails of this outcome on their way.
#[must_use]
pub(crate) fn deliver(outcome: Outcome) -> Outcome {
    outcome.follow_up_with(&CollectWaiting {}, once(Scope::Job))
}

/// Adds the task that sends this mail before others; for one that somebody waits for.
#[must_use]
pub(crate) fn deliver_at_once(outcome: Outcome, outgoing_email_id: EmailId) -> Outcome {
    let before_others = TaskOptions { priority: Some(1), ..once(Scope::Payload) };
    outcome.follow_up_with(&DeliverEmail { outgoing_email_id }, before_others)
}

/// Options of a task that is there once while it waits.
pub(crate) fn once(scope: Scope) -> TaskOptions {
    TaskOptions { unique: Some(Unique { scope, period: None }), ..TaskOptions::default() }
}

fn json(value: &impl serde::Serialize) -> Result<String, JobError> {
    serde_json::to_string(value)
        .map_err(|error| JobError::permanent(format!("a mail cannot be stored: {error}")))
}
