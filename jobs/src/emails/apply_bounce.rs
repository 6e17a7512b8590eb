//! `emails/apply_bounce`: an address that does not take or want mail is sent none.
//!
//! Every bounce is noted, and applied once however often it is told: an address that a person has
//! allowed again stays so. Where a report names a mail of the outbox, it counts for the address
//! that this mail went to and for no other.

use contract::NoConfiguration;
use contract::emails::{ApplyBounce as Payload, BounceKind};
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use mail::{AdminEvent, AdminEventKind};
use models::outbox::{self, Bounce, OutgoingEmail, Suppression, SuppressionReason};
use serde_json::json;

use super::compose::event;
use super::settings::MailSettings;

/// Applies bounces and complaints.
pub(crate) struct ApplyBounce {
    db: Db,
}

impl Job for ApplyBounce {
    type Payload = Payload;
    type Settings = MailSettings;

    fn new(services: &Services, _: MailSettings) -> Self {
        Self { db: services.db.clone() }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        let Payload { event_id, address, kind, outgoing_email_id, status, message } = payload;
        let address: mail::Address =
            address.parse().map_err(|error| JobError::permanent(format!("`address`: {error}")))?;
        let email = match outgoing_email_id {
            None => None,
            Some(id) => match outbox::get(&self.db, id).await? {
                // Anybody can write a report; a mail that we sent is in it only if it came back.
                None => return Ok(Outcome::completed(json!({ "skipped": "not_in_outbox" }))),
                found => found,
            },
        };
        let address = outbox::folded(address.as_str());
        let (kind, reason) = match kind {
            BounceKind::Permanent => {
                (outbox::BounceKind::Permanent, Some(SuppressionReason::Bounced))
            }
            BounceKind::Complaint => {
                (outbox::BounceKind::Complaint, Some(SuppressionReason::Complained))
            }
            BounceKind::Temporary => (outbox::BounceKind::Temporary, None),
        };
        // Somebody behind an alias or a list is not who was written to.
        let is_recipient =
            email.as_ref().is_none_or(|email| outbox::folded(&email.recipient) == address);
        let reason = reason.filter(|_| is_recipient);
        let email_id = email.as_ref().map(|email| email.id);
        let bounce =
            Bounce { event_id, address, kind, email: email_id, status, message, at: cx.now() };
        if outbox::is_known_bounce(&self.db, &bounce).await? {
            return Ok(Outcome::completed(json!({ "skipped": "known" })));
        }
        let told = match &email {
            Some(email) if kind == outbox::BounceKind::Permanent && is_recipient => {
                Some((email.clone(), event(format!("mail/{}", email.id), &came_back(cx, email))?))
            }
            Some(_) | None => None,
        };
        let result = json!({ "noted": kind, "suppressed": reason });
        Ok(Outcome::completed(result).commit(move |tx| {
            Box::pin(async move {
                if !outbox::note_bounce(tx, &bounce).await? {
                    return Ok(());
                }
                if let Some(reason) = reason {
                    let entry = Suppression {
                        address: bounce.address.clone(),
                        reason,
                        event: Some(bounce.event_id.clone()),
                        at: bounce.at,
                    };
                    outbox::suppress(tx, &entry).await?;
                }
                let Some((email, event)) = told else { return Ok(()) };
                let (said, forget) = (bounce.message.as_deref(), super::holds_a_link(&email));
                let marked = outbox::mark_bounced(tx, email.id, said, forget, bounce.at).await?;
                // That a mail to an admin came back is not told in a mail to the admins.
                if marked && !email.kind.starts_with("admin_") {
                    outbox::note_event(tx, &event).await?;
                }
                Ok(())
            })
        }))
    }
}

/// What the digest says of a mail that came back.
fn came_back(cx: &Context, email: &OutgoingEmail) -> AdminEvent {
    AdminEvent {
        account: email.account_id,
        task: Some(cx.task_id()),
        code: format!("bounced:{}", email.id).parse().ok(),
        ..AdminEvent::new(AdminEventKind::MailRefused, cx.now())
    }
}
