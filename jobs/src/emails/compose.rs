//! Rows of the outbox, made of messages; every job that writes mail or tells admins uses these.

use contract::emails::{CollectWaiting, DeliverEmail};
use job::{JobError, Outcome};
use mail::{AdminEvent, Message};
use models::outbox::{EmailAttachment, NewEmail, NewEvent};
use scheduling::{Scope, TaskOptions, Unique};
use values::{AccountId, EmailId, Timestamp, breaks_line};

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
            recipient_name: name.and_then(one_line),
            data: json(message)?,
            attachments,
            created_at: now,
        })
    }
}

/// What of a name can stand beside an address, in one line and one direction.
fn one_line(name: &str) -> Option<String> {
    let plain: String = name.chars().filter(|c| !breaks_line(*c)).collect();
    (!plain.trim().is_empty()).then_some(plain)
}

/// Makes the row of an event for the admins; note it with `models::outbox::note_event`.
pub(crate) fn event(unique_key: String, event: &AdminEvent) -> Result<NewEvent, JobError> {
    let is_alert = !event.kind.is_routine();
    Ok(NewEvent { unique_key, is_alert, data: json(event)?, at: event.at })
}

/// Adds a task that gets the mails of this outcome on their way: one of its own, because one that is
/// running already may have looked before they were there.
#[must_use]
pub(crate) fn deliver(outcome: Outcome) -> Outcome {
    outcome.follow_up(&CollectWaiting {})
}

/// Adds the tasks that send these mails of an outcome, which may be many at a month's end: without
/// a look through the outbox for each.
#[must_use]
pub(crate) fn deliver_each(outcome: Outcome, emails: impl Iterator<Item = EmailId>) -> Outcome {
    emails.fold(outcome, |outcome, outgoing_email_id| {
        outcome.follow_up_with(&DeliverEmail { outgoing_email_id }, once(Scope::Payload))
    })
}

/// Adds the task that sends this mail before others; for one that somebody waits for.
#[must_use]
pub(crate) fn deliver_at_once(outcome: Outcome, outgoing_email_id: EmailId) -> Outcome {
    let before_others = TaskOptions { priority: Some(1), ..once(Scope::Payload) };
    outcome.follow_up_with(&DeliverEmail { outgoing_email_id }, before_others)
}

/// Options of a task that is there once while it waits or runs.
pub(crate) fn once(scope: Scope) -> TaskOptions {
    TaskOptions { unique: Some(Unique { scope, period: None }), ..TaskOptions::default() }
}

fn json(value: &impl serde::Serialize) -> Result<String, JobError> {
    serde_json::to_string(value)
        .map_err(|error| JobError::permanent(format!("a mail cannot be stored: {error}")))
}

#[cfg(test)]
mod tests {
    use job::OutcomeParts;

    use super::*;

    #[test]
    fn a_look_that_is_under_way_stands_for_no_other() {
        let OutcomeParts::Completed { follow_ups, .. } =
            deliver(Outcome::completed(serde_json::json!({}))).into_parts()
        else {
            panic!("completed");
        };
        let follow_ups = follow_ups.unwrap();
        let [look] = &follow_ups[..] else { panic!("one look, not {}", follow_ups.len()) };
        assert_eq!(look.job, "emails/collect_waiting");
        assert!(look.options.unique.is_none());
    }
}
