//! `emails/remind_expiring_cards`: writes once about every card that is in its last month.

use contract::NoConfiguration;
use contract::emails::RemindExpiringCards as Payload;
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use mail::{CardExpiring, CardName, Message};
use models::billing::{self, ExpiringCard};
use models::outbox::{self, NewEmail};
use serde_json::json;
use values::Timestamp;

use super::compose::{Mailing, deliver};
use super::settings::MailSettings;

/// Cards that are read and written about in one transaction.
const CARDS_PER_BATCH: u32 = 200;
/// Transactions of one attempt at the most; the next day's task goes on.
const BATCHES_MAX: u32 = 1_000;

/// Writes about cards that are about to expire.
pub(crate) struct RemindExpiringCards {
    db: Db,
    card_url: String,
}

impl Job for RemindExpiringCards {
    type Payload = Payload;
    type Settings = MailSettings;

    fn new(services: &Services, settings: MailSettings) -> Self {
        Self { db: services.db.clone(), card_url: settings.brand().account_url }
    }

    async fn run(&self, cx: &Context, _: Payload, _: NoConfiguration) -> Result<Outcome, JobError> {
        let now = cx.now();
        let (mut written, mut after) = (0_u64, None);
        for _ in 0..BATCHES_MAX {
            let batch =
                billing::expiring_cards(&self.db, now.month(), after, CARDS_PER_BATCH).await?;
            let Some(last) = batch.last() else { break };
            after = Some(last.account_id);
            let rows = batch.iter().map(|card| self.mail_about(card, now));
            let rows = rows.collect::<Result<Vec<NewEmail>, JobError>>()?;
            let mut transaction = self.db.begin().await?;
            for row in &rows {
                written += u64::from(outbox::add(&mut transaction.tx(), row).await?);
            }
            transaction.commit().await?;
            cx.progress(0.5, format!("{written} mails written"));
            cx.check_cancelled()?;
        }
        tracing::info!(written, "owners of expiring cards written to");
        Ok(deliver(Outcome::completed(json!({ "written": written }))))
    }
}

impl RemindExpiringCards {
    fn mail_about(&self, card: &ExpiringCard, now: Timestamp) -> Result<NewEmail, JobError> {
        let message = Message::CardExpiring(CardExpiring {
            account: card.name.clone(),
            card: CardName::new(&card.brand, &card.last4, card.valid_through),
            card_url: self.card_url.clone(),
        });
        let mailing = Mailing {
            // A bank that renews a card under the same id gives it another last month.
            unique_key: format!("card_expiring/{}/{}", card.card_id, card.valid_through),
            account_id: Some(card.account_id),
            to: &card.billing_email,
            name: Some(&card.name),
            message: &message,
            attachments: Vec::new(),
        };
        mailing.row(now)
    }
}
