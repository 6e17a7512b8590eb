//! `emails/remind_expiring_cards`: writes once about every card that is in its last month and will
//! be charged after it.
//!
//! A month is charged when it is over: by the plans held at its end, as far as they are known now,
//! beside what is open of earlier months. Whoever is on a free plan and owes nothing is left alone.

use std::collections::BTreeSet;

use ::billing::{AccountPlans, Catalogue, plans_at_end};
use contract::NoConfiguration;
use contract::emails::RemindExpiringCards as Payload;
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use mail::{CardExpiring, CardName, Message};
use models::billing::{self, ExpiringCard};
use models::outbox::{self, NewEmail};
use models::{BillingProvider, plans};
use serde_json::json;
use values::{AccountId, Currency, Month, Timestamp};

use super::compose::{Mailing, deliver};
use super::settings::MailSettings;

/// Cards that are read and written about in one transaction.
const CARDS_PER_BATCH: u32 = 200;
/// Transactions of one attempt at the most; the next day's task goes on.
const BATCHES_MAX: u32 = 1_000;

/// Writes about cards that are about to expire.
pub(crate) struct RemindExpiringCards {
    db: Db,
    /// The plans that are sold; if their file cannot be read, every owner is written to.
    catalogue: Option<Catalogue>,
}

impl Job for RemindExpiringCards {
    type Payload = Payload;
    type Settings = MailSettings;

    fn new(services: &Services, _: MailSettings) -> Self {
        Self {
            db: services.db.clone(),
            catalogue: crate::billing::catalogue(&services.manifest).ok(),
        }
    }

    async fn run(&self, cx: &Context, _: Payload, _: NoConfiguration) -> Result<Outcome, JobError> {
        let now = cx.now();
        let (mut written, mut after) = (0_u64, None);
        for _ in 0..BATCHES_MAX {
            let batch =
                billing::expiring_cards(&self.db, now.month(), after, CARDS_PER_BATCH).await?;
            let Some(last) = batch.last() else { break };
            after = Some(last.account_id);
            let charged = self.charged(&batch, now.month()).await?;
            let charged = batch.iter().filter(|card| charged.contains(&card.account_id));
            let rows = charged.map(|card| mail_about(card, now));
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
    /// Which owners of these cards will be charged once `month`, the cards' last, is over.
    async fn charged(
        &self,
        cards: &[ExpiringCard],
        month: Month,
    ) -> Result<BTreeSet<AccountId>, JobError> {
        let ids: Vec<AccountId> = cards.iter().map(|card| card.account_id).collect();
        let histories = plans::histories(&self.db, &ids).await?;
        let currencies = billing::currencies(&self.db, &ids).await?;
        let mut charged = billing::accounts_that_owe(&self.db, &ids).await?;
        for id in ids {
            let history = histories.get(&id).map_or(&[][..], Vec::as_slice);
            let currency = currencies.get(&id).copied().unwrap_or(Currency::USD);
            if let Some(plans) = plans_at_end(history, month)
                && self.costs(plans, currency, month)
            {
                charged.insert(id);
            }
        }
        Ok(charged)
    }

    /// Whether a month of these plans costs something; what cannot be told may.
    fn costs(&self, plans: &AccountPlans, currency: Currency, month: Month) -> bool {
        let provider = BillingProvider::Cine.as_str();
        let price = |catalogue: &Catalogue| {
            catalogue.hold(provider, plans, month).and_then(|holding| holding.price(currency)).ok()
        };
        self.catalogue.as_ref().and_then(price).is_none_or(|price| price.minor > 0)
    }
}

fn mail_about(card: &ExpiringCard, now: Timestamp) -> Result<NewEmail, JobError> {
    let message = Message::CardExpiring(CardExpiring {
        account: card.name.clone(),
        card: CardName::new(&card.brand, &card.last4, card.valid_through),
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
