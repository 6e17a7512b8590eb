//! `emails/apply_bounce`: an address that does not take or want mail is sent none.

use contract::NoConfiguration;
use contract::emails::{ApplyBounce as Payload, BounceKind};
use job::{Context, Job, JobError, Outcome, Services};
use models::outbox::{self, Suppression, SuppressionReason};
use serde_json::json;

use super::settings::MailSettings;

/// Applies bounces and complaints.
pub(crate) struct ApplyBounce {}

impl Job for ApplyBounce {
    type Payload = Payload;
    type Settings = MailSettings;

    fn new(_: &Services, _: MailSettings) -> Self {
        Self {}
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        let reason = match payload.kind {
            BounceKind::Permanent => SuppressionReason::Bounced,
            BounceKind::Complaint => SuppressionReason::Complained,
            BounceKind::Temporary => {
                return Ok(Outcome::completed(json!({ "skipped": "temporary" })));
            }
        };
        let address: mail::Address = payload
            .address
            .parse()
            .map_err(|error| JobError::permanent(format!("`address`: {error}")))?;
        let entry = Suppression {
            address: address.as_str().to_owned(),
            reason,
            event: Some(payload.event_id),
            at: cx.now(),
        };
        Ok(Outcome::completed(json!({ "suppressed": reason })).commit(move |tx| {
            Box::pin(async move { outbox::suppress(tx, &entry).await.map(|_| ()) })
        }))
    }
}
