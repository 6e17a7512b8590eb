//! `emails/welcome_account`: welcomes a new account, once.

use contract::NoConfiguration;
use contract::emails::WelcomeAccount as Payload;
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use mail::{AdminEvent, AdminEventKind, Message, Welcome};
use models::{accounts, outbox};
use serde_json::json;

use super::compose::{Mailing, deliver_at_once, event};
use super::settings::MailSettings;

/// Welcomes accounts.
pub(crate) struct WelcomeAccount {
    db: Db,
}

impl Job for WelcomeAccount {
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
        let id = payload.account_id;
        let account = accounts::get(&self.db, id).await?;
        let account =
            account.ok_or_else(|| JobError::permanent(format!("there is no account {id}")))?;
        if account.deleted_at.is_some() {
            return Ok(Outcome::completed(json!({ "skipped": "account_deleted" })));
        }
        let made = AdminEvent {
            account: Some(id),
            code: account.billing_provider.as_str().parse().ok(),
            ..AdminEvent::new(AdminEventKind::AccountCreated, account.created_at)
        };
        let made = event(format!("account_created/{id}"), &made)?;
        let welcome = match &account.billing_email {
            None => None,
            Some(address) => {
                let message = Message::Welcome(Welcome { name: account.name.clone() });
                let mailing = Mailing {
                    unique_key: format!("welcome/{id}"),
                    account_id: Some(id),
                    to: address,
                    name: Some(&account.name),
                    message: &message,
                    attachments: Vec::new(),
                };
                Some(mailing.row(cx.now())?)
            }
        };
        let outcome = match &welcome {
            Some(row) => deliver_at_once(Outcome::completed(json!({ "written": true })), row.id),
            None => Outcome::completed(json!({ "skipped": "no_address" })),
        };
        Ok(outcome.commit(move |tx| {
            Box::pin(async move {
                outbox::note_event(tx, &made).await?;
                if let Some(welcome) = &welcome {
                    outbox::add(tx, welcome).await?;
                }
                Ok(())
            })
        }))
    }
}
