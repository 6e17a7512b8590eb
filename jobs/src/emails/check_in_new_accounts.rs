//! `emails/check_in_new_accounts`: writes once to every account that was made three days ago.
//!
//! It looks back seven days, so that a day without a worker costs no mail; who got one already is
//! known from the outbox.

use contract::NoConfiguration;
use contract::emails::CheckInNewAccounts as Payload;
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use mail::{CheckIn, Message};
use models::outbox::{self, NewEmail};
use models::sign_ups::{self, FirstUse, NewAccount};
use serde_json::json;
use values::{Span, Timestamp};

use super::compose::{Mailing, deliver};
use super::settings::MailSettings;

/// How old an account is when it is written to.
const AGE_DAYS: u32 = 3;
/// How old it is when it is too late.
const AGE_DAYS_MAX: u32 = 7;
/// Accounts that are read and written to in one transaction.
const ACCOUNTS_PER_BATCH: u32 = 200;
/// Transactions of one attempt at the most; the next day's task goes on.
const BATCHES_MAX: u32 = 1_000;

/// Writes to new accounts.
pub(crate) struct CheckInNewAccounts {
    db: Db,
}

impl Job for CheckInNewAccounts {
    type Payload = Payload;
    type Settings = MailSettings;

    fn new(services: &Services, _: MailSettings) -> Self {
        Self { db: services.db.clone() }
    }

    async fn run(&self, cx: &Context, _: Payload, _: NoConfiguration) -> Result<Outcome, JobError> {
        let now = cx.now();
        let made =
            (now.before(Span::from_days(AGE_DAYS_MAX)), now.before(Span::from_days(AGE_DAYS)));
        let (mut written, mut after) = (0_u64, None);
        for _ in 0..BATCHES_MAX {
            let batch = sign_ups::to_check_in(&self.db, made, after, ACCOUNTS_PER_BATCH).await?;
            let Some(last) = batch.last() else { break };
            after = Some(last.id);
            let rows = batch.iter().map(|account| mail_to(account, now));
            let rows = rows.collect::<Result<Vec<NewEmail>, JobError>>()?;
            let mut transaction = self.db.begin().await?;
            for row in &rows {
                written += u64::from(outbox::add(&mut transaction.tx(), row).await?);
            }
            transaction.commit().await?;
            cx.progress(0.5, format!("{written} mails written"));
            cx.check_cancelled()?;
        }
        tracing::info!(written, "new accounts written to");
        Ok(deliver(Outcome::completed(json!({ "written": written }))))
    }
}

fn mail_to(account: &NewAccount, now: Timestamp) -> Result<NewEmail, JobError> {
    let check_in = CheckIn { name: account.name.clone() };
    let message = match account.used {
        FirstUse::Unused => Message::CheckInUnused(check_in),
        FirstUse::Broadcast => Message::CheckInBroadcast(check_in),
        FirstUse::Peer => Message::CheckInPeer(check_in),
    };
    let mailing = Mailing {
        unique_key: format!("check_in/{}", account.id),
        account_id: Some(account.id),
        to: &account.billing_email,
        name: Some(&account.name),
        message: &message,
        attachments: Vec::new(),
    };
    mailing.row(now)
}
