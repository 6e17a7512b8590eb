//! `emails/collect_waiting`: no mail of the outbox is left behind.
//!
//! A row may be written by whoever has a transaction, and a delivery may have used up its attempts;
//! this job asks for the delivery of every row that is due. One that waits already is left out, and
//! one that was asked for is due again later, so that mails which nobody accepts hold up no others.

use contract::NoConfiguration;
use contract::emails::{CollectWaiting as Payload, DeliverEmail};
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use models::outbox;
use scheduling::Scope;
use serde_json::json;
use values::Span;

use super::compose::once;
use super::settings::MailSettings;

/// Mails that one attempt asks for; another one follows if there are more.
const EMAILS_MAX: u32 = 500;
/// When a delivery that was asked for is asked for again, unless it ended or set a time itself.
const ASK_AGAIN_HOURS: u32 = 1;

/// Collects mails that wait.
pub(crate) struct CollectWaiting {
    db: Db,
}

impl Job for CollectWaiting {
    type Payload = Payload;
    type Settings = MailSettings;

    fn new(services: &Services, _: MailSettings) -> Self {
        Self { db: services.db.clone() }
    }

    async fn run(&self, cx: &Context, _: Payload, _: NoConfiguration) -> Result<Outcome, JobError> {
        // Whatever was committed before this attempt began was caused before now.
        let before = cx.now().after(Span::from_seconds(1));
        let due = outbox::due_before(&self.db, before, EMAILS_MAX).await?;
        let mut outcome = Outcome::completed(json!({ "askedFor": due.len() }));
        for &outgoing_email_id in &due {
            let delivery = DeliverEmail { outgoing_email_id };
            outcome = outcome.follow_up_with(&delivery, once(Scope::Payload));
        }
        if due.len() == EMAILS_MAX as usize {
            outcome = outcome.follow_up(&Payload {});
        }
        let again_at = cx.now().after(Span::from_hours(ASK_AGAIN_HOURS));
        Ok(outcome
            .commit(move |tx| Box::pin(async move { outbox::set_due(tx, &due, again_at).await })))
    }
}
