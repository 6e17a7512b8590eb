//! `emails/deliver_email`: writes one mail of the outbox and hands it over.
//!
//! That it is offered is on record before it is. An attempt that finds the record of another that
//! died may repeat a mail that was accepted: once, under the same Message-ID, and never more. A
//! mail that is not accepted yet waits without using up attempts; its row counts them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use contract::emails::{DeliverEmail as Payload, MailConfiguration, SmtpLogin};
use database::Db;
use job::{Context, Job, JobError, Outcome, Services};
use mail::{
    AdminEvent, AdminEventKind, Attachment, Delivery, Letter, Mailer, Message, Parcel, Reach,
    Recipient,
};
use models::outbox::{self, Answer, EmailState, OutgoingEmail};
use serde_json::json;
use values::Span;

use super::compose::event;
use super::settings::MailTemplates;

/// How often a mail may have been accepted without a word before it is offered no more.
const UNKNOWN_ENDS_MAX: u64 = 2;
/// How often a mail is offered before it can be given up, however old it is.
const OFFERS_MIN: u64 = 10;
/// How long a mail waits after it was offered for the first time; then twice as long each time.
const WAIT_SECONDS: u32 = 60;
/// How long it waits at the most.
const WAIT_SECONDS_MAX: u32 = 3_600;

/// Delivers mails.
pub(crate) struct DeliverEmail {
    db: Db,
    mail: MailTemplates,
    environment: String,
    home: PathBuf,
    /// The server's connections, and the password they were made with.
    mailer: Mutex<Option<(Option<SmtpLogin>, Arc<Mailer>)>>,
}

/// How an offer ended.
enum Ended {
    /// For good.
    At(EmailState, Answer),
    /// Not yet: to be tried again from this state.
    NotYet(EmailState, Answer),
}

impl Job for DeliverEmail {
    type Payload = Payload;
    type Settings = MailTemplates;

    fn new(services: &Services, mail: MailTemplates) -> Self {
        let facts = &services.facts;
        let (environment, home) = (facts.environment.clone(), facts.home.clone());
        Self { db: services.db.clone(), mail, environment, home, mailer: Mutex::default() }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        config: MailConfiguration,
    ) -> Result<Outcome, JobError> {
        let Some(email) = outbox::get(&self.db, payload.outgoing_email_id).await? else {
            return Ok(Outcome::completed(json!({ "skipped": "not_in_outbox" })));
        };
        if email.ended_at.is_some() {
            return Ok(Outcome::completed(json!({ "skipped": email.state })));
        }
        let repeats = email.unknown_ends + u64::from(email.state == EmailState::Sending);
        let ended = if repeats >= UNKNOWN_ENDS_MAX {
            let answer = Answer { code: None, message: email.message.clone() };
            Ended::At(EmailState::Unknown, answer)
        } else if outbox::is_suppressed(&self.db, &email.recipient).await? {
            Ended::At(EmailState::Suppressed, Answer::default())
        } else {
            match self.letter(&email).await? {
                Ok(letter) => self.offer(cx, &email, &letter, repeats, config.smtp).await?,
                Err(problem) => {
                    Ended::At(EmailState::Failed, Answer { code: None, message: Some(problem) })
                }
            }
        };
        self.note(cx, &email, ended).await
    }
}

impl DeliverEmail {
    /// Writes the letter, or says why that will never work.
    async fn letter(&self, email: &OutgoingEmail) -> Result<Result<Letter, String>, JobError> {
        let attachments = outbox::attachments(&self.db, email.id).await?;
        if attachments.iter().any(|file| file.media_type != "application/pdf") {
            return Ok(Err("only PDF files can be attached".to_owned()));
        }
        let attachments: Vec<Attachment> =
            attachments.into_iter().map(|file| Attachment::pdf(&file.name, file.content)).collect();
        let written = || {
            let message: Message = serde_json::from_str(&email.data)
                .map_err(|_| format!("the row is no message `{}`", email.kind))?;
            let address = email.recipient.parse().map_err(|error| format!("{error}"))?;
            let to = Recipient::new(address, email.recipient_name.as_deref());
            let id = email.id.to_string();
            let parcel = Parcel {
                id: &id,
                date: email.created_at,
                to: &to,
                message: &message,
                attachments: &attachments,
            };
            let letter = self.mail.templates.letter(&parcel);
            letter.map_err(|error| JobError::from(error).chain())
        };
        Ok(written())
    }

    /// Puts the offer on record, and makes it.
    async fn offer(
        &self,
        cx: &Context,
        email: &OutgoingEmail,
        letter: &Letter,
        repeats: u64,
        login: Option<SmtpLogin>,
    ) -> Result<Ended, JobError> {
        let mailer = self.mailer(login)?;
        cx.progress(0.25, "written");
        cx.check_cancelled()?;
        let mut transaction = self.db.begin().await?;
        let begun =
            outbox::start(&mut transaction.tx(), email.id, email.attempts, cx.now()).await?;
        transaction.commit().await?;
        if !begun {
            return Err(JobError::retryable("another attempt offers this mail"));
        }
        cx.progress(0.5, "offered");
        let delivery = mailer.deliver(letter).await;
        cx.progress(0.75, "answered");
        // The next thing it waits for is the record.
        Ok(match delivery {
            Delivery::Sent { message } => Ended::At(EmailState::Sent, answer(None, message)),
            Delivery::Refused { code, message } => {
                Ended::At(EmailState::Refused, answer(code, message))
            }
            Delivery::Withheld { domain } => {
                let message = format!("not production, and {domain} is not in allowed_domains");
                Ended::At(EmailState::Withheld, answer(None, message))
            }
            Delivery::Later { code, message } => {
                let given_up = email.created_at.after(self.mail.settings.give_up_after());
                let answer = answer(code, message);
                if cx.now() > given_up && email.attempts + 1 >= OFFERS_MIN {
                    Ended::At(EmailState::Failed, answer)
                } else {
                    Ended::NotYet(EmailState::Waiting, answer)
                }
            }
            Delivery::Unknown { message } if repeats + 1 >= UNKNOWN_ENDS_MAX => {
                Ended::At(EmailState::Unknown, answer(None, message))
            }
            Delivery::Unknown { message } => {
                Ended::NotYet(EmailState::Sending, answer(None, message))
            }
        })
    }

    /// The connections to the server, kept for all mails; made anew when the password changes.
    fn mailer(&self, login: Option<SmtpLogin>) -> Result<Arc<Mailer>, JobError> {
        let mut kept = self.mailer.lock().unwrap_or_else(PoisonError::into_inner);
        let words = |login: &Option<SmtpLogin>| {
            login.as_ref().map(|login| (login.user.clone(), login.password.expose().clone()))
        };
        if let Some((of, mailer)) = &*kept
            && words(of) == words(&login)
        {
            return Ok(Arc::clone(mailer));
        }
        let outlet = self.mail.settings.outlet(&self.home, login.as_ref());
        let reach = Reach::of(&self.environment, &self.mail.settings.allowed_domains);
        let mailer = Arc::new(Mailer::open(outlet, reach)?);
        *kept = Some((login, Arc::clone(&mailer)));
        Ok(mailer)
    }

    /// Puts the answer on record at once: what was accepted must not wait for the settlement.
    async fn note(
        &self,
        cx: &Context,
        email: &OutgoingEmail,
        ended: Ended,
    ) -> Result<Outcome, JobError> {
        let mut transaction = self.db.begin().await?;
        let mut tx = transaction.tx();
        let outcome = match ended {
            Ended::NotYet(state, answer) => {
                let wait = wait_after(email.attempts, tasks::random_bytes());
                let due_at = cx.now().after(wait);
                outbox::postpone(&mut tx, email.id, (state, &answer), due_at).await?;
                tracing::warn!(email = %email.id, kind = email.kind, %state, code = answer.code, %wait, "mail not accepted yet");
                Outcome::snooze(wait)
            }
            Ended::At(state, answer) => {
                let forget = super::holds_a_link(email);
                let noted =
                    outbox::end(&mut tx, email.id, (state, &answer), forget, cx.now()).await?;
                let is_fault = match state {
                    EmailState::Refused
                    | EmailState::Unknown
                    | EmailState::Bounced
                    | EmailState::Suppressed
                    | EmailState::Failed => true,
                    EmailState::Sent
                    | EmailState::Withheld
                    | EmailState::Waiting
                    | EmailState::Sending => false,
                };
                // That a mail to an admin was refused is not told in a mail to the admins.
                if noted && is_fault && !email.kind.starts_with("admin_") {
                    let row = event(format!("mail/{}", email.id), &told(cx, email, state))?;
                    outbox::note_event(&mut tx, &row).await?;
                }
                tracing::info!(email = %email.id, kind = email.kind, %state, code = answer.code, "mail ended");
                Outcome::completed(json!({ "state": state, "code": answer.code }))
            }
        };
        transaction.commit().await?;
        Ok(outcome)
    }
}

/// How long a mail waits that was offered so often before: longer each time, and not at the moment
/// when all others are offered again.
fn wait_after(attempts: u64, random: [u8; 10]) -> Span {
    let longest = (WAIT_SECONDS << attempts.min(10)).min(WAIT_SECONDS_MAX);
    Span::from_seconds(longest / 2 + longest * u32::from(random[0]) / 2 / 255)
}

fn answer(code: Option<u16>, message: String) -> Answer {
    Answer { code, message: Some(message) }
}

/// What the digest says of a mail that was not sent.
fn told(cx: &Context, email: &OutgoingEmail, state: EmailState) -> AdminEvent {
    AdminEvent {
        account: email.account_id,
        task: Some(cx.task_id()),
        code: format!("{state}:{}", email.id).parse().ok(),
        ..AdminEvent::new(AdminEventKind::MailRefused, cx.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_longer_each_time_and_within_bounds() {
        let check = |attempts, random, expected| {
            assert_eq!(wait_after(attempts, [random; 10]).to_string(), expected);
        };
        check(0, 0, "30s");
        check(0, 255, "1m");
        check(1, 0, "1m");
        check(3, 255, "8m");
        check(6, 0, "30m");
        check(u64::MAX, 255, "1h");
    }
}
