//! `emails/report_events`: tells the company's own people: alerts at once, the rest as a digest.
//!
//! An event and the mail that tells it are one transaction: none is lost, and none is told twice.
//! With the digest comes, once per month that was billed, what became of its accounts.

use contract::NoConfiguration;
use contract::emails::ReportEvents as Payload;
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use mail::{Address, AdminAlert, AdminDigest, AdminEvent, AdminMonthClosed, Message, SettledCount};
use models::billing::{self, SettledTotal};
use models::outbox::{self, NewEmail, NotedEvent};
use serde_json::json;
use values::{Span, Timestamp};

use super::compose::{Mailing, deliver};
use super::settings::MailSettings;

/// Alerts that get a mail each; if there are more at once, one mail lists them.
const ALERTS_MAX: usize = 10;
/// Events that one mail covers; the next attempt goes on.
const EVENTS_MAX: u32 = 10_000;

/// How long after the release of a month's run its accounts are counted: the first tries are over.
const MONTH_SETTLES_WITHIN: Span = Span::from_hours(12);
/// How long after it a digest that was missed is made up for.
const MONTH_TOLD_WITHIN: Span = Span::from_days(7);

/// Reports events.
pub(crate) struct ReportEvents {
    db: Db,
    admins: Vec<Address>,
}

impl Job for ReportEvents {
    type Payload = Payload;
    type Settings = MailSettings;

    fn new(services: &Services, settings: MailSettings) -> Self {
        Self { db: services.db.clone(), admins: settings.admins }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        _: NoConfiguration,
    ) -> Result<Outcome, JobError> {
        if self.admins.is_empty() {
            return Ok(Outcome::completed(json!({ "skipped": "no_admins" })));
        }
        let now = cx.now();
        let alerts = outbox::open_events(&self.db, true, now, EVENTS_MAX).await?;
        let routine = if payload.digest {
            outbox::open_events(&self.db, false, now, EVENTS_MAX).await?
        } else {
            Vec::new()
        };
        let mut rows = Vec::new();
        if alerts.len() > ALERTS_MAX {
            self.list(&mut rows, &alerts, now)?;
        } else {
            for alert in &alerts {
                let message = Message::AdminAlert(AdminAlert { event: read(alert)? });
                self.write(&mut rows, &message, &alert.unique_key, now)?;
            }
        }
        self.list(&mut rows, &routine, now)?;
        if payload.digest {
            self.closed_months(&mut rows, now).await?;
        }
        let result = json!({ "alerts": alerts.len(), "digestEvents": routine.len() });
        let keys: Vec<String> =
            alerts.into_iter().chain(routine).map(|event| event.unique_key).collect();
        Ok(deliver(Outcome::completed(result).commit(move |tx| {
            Box::pin(async move {
                for row in &rows {
                    outbox::add(tx, row).await?;
                }
                outbox::close_events(tx, &keys, now).await
            })
        })))
    }
}

impl ReportEvents {
    /// Writes what became of the accounts of each month that was billed lately; the outbox knows
    /// which were told.
    async fn closed_months(
        &self,
        rows: &mut Vec<NewEmail>,
        now: Timestamp,
    ) -> Result<(), JobError> {
        let lately = (now.before(MONTH_TOLD_WITHIN), now.before(MONTH_SETTLES_WITHIN));
        for month in billing::released_between(&self.db, lately).await? {
            let found = billing::settled_of_month(&self.db, month).await?;
            let count = |row: SettledTotal| SettledCount {
                outcome: row.state.as_str().parse().expect("a state is a word"),
                accounts: row.accounts,
                total: row.total,
            };
            let settled = found.into_iter().map(count).collect();
            let message = Message::AdminMonthClosed(AdminMonthClosed { month, settled });
            self.write(rows, &message, &month.to_string(), now)?;
        }
        Ok(())
    }

    /// Writes one mail with all of these events to every admin, if there are any.
    fn list(
        &self,
        rows: &mut Vec<NewEmail>,
        events: &[NotedEvent],
        now: Timestamp,
    ) -> Result<(), JobError> {
        let Some(first) = events.first() else { return Ok(()) };
        let listed = events.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let message = Message::AdminDigest(AdminDigest::new(first.at, now, listed));
        self.write(rows, &message, &first.unique_key, now)
    }

    /// Writes the message to every admin.
    fn write(
        &self,
        rows: &mut Vec<NewEmail>,
        message: &Message,
        about: &str,
        now: Timestamp,
    ) -> Result<(), JobError> {
        for admin in &self.admins {
            let mailing = Mailing {
                unique_key: format!("{}/{about}/{admin}", message.name()),
                account_id: None,
                to: admin.as_str(),
                name: None,
                message,
                attachments: Vec::new(),
            };
            rows.push(mailing.row(now)?);
        }
        Ok(())
    }
}

fn read(event: &NotedEvent) -> Result<AdminEvent, JobError> {
    serde_json::from_str(&event.data).map_err(|error| {
        JobError::permanent(format!("the event `{}` cannot be read: {error}", event.unique_key))
    })
}
