//! `emails/password_reset`: mails the link by which a new password is chosen.
//!
//! The task knows the request's id alone; what proves the address stays in the request's table, and
//! in the outbox only until the mail is at its end.

use contract::NoConfiguration;
use contract::emails::PasswordReset as Payload;
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use mail::{Message, PasswordReset as Mail, PrivateLink};
use models::{outbox, sign_ups};
use serde_json::json;

use super::compose::{Mailing, deliver_at_once};
use super::settings::MailSettings;

/// Mails links by which a password is chosen.
pub(crate) struct PasswordReset {
    db: Db,
    website_url: String,
}

impl Job for PasswordReset {
    type Payload = Payload;
    type Settings = MailSettings;

    fn new(services: &Services, settings: MailSettings) -> Self {
        Self { db: services.db.clone(), website_url: settings.brand().website_url }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        let id = payload.password_reset_id;
        let request = sign_ups::password_request(&self.db, id).await?;
        let request =
            request.ok_or_else(|| JobError::permanent(format!("there is no request {id}")))?;
        if request.valid_until <= cx.now() {
            return Ok(Outcome::completed(json!({ "skipped": "no_longer_valid" })));
        }
        let site = self.website_url.trim_end_matches('/');
        let message = Message::PasswordReset(Mail {
            name: request.name.clone().unwrap_or_else(|| request.address.clone()),
            reset_url: PrivateLink(format!("{site}/recover-password/{}", request.token)),
            valid_until: request.valid_until,
        });
        let mailing = Mailing {
            unique_key: format!("password_reset/{id}"),
            account_id: None,
            to: &request.address,
            name: request.name.as_deref(),
            message: &message,
            attachments: Vec::new(),
        };
        let row = mailing.row(cx.now())?;
        let outcome = deliver_at_once(Outcome::completed(json!({ "written": true })), row.id);
        Ok(outcome
            .commit(move |tx| Box::pin(async move { outbox::add(tx, &row).await.map(|_| ()) })))
    }
}
