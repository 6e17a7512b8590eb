//! Mail to customers and to the company's own people.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use values::{AccountId, EmailId, PasswordResetId, Secret};

use crate::{Configuration, NoConfiguration, Origin, Payload, Section, SectionCheck};

/// What delivery needs beyond worker.toml.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MailConfiguration {
    /// Who signs in to the mail server.
    #[serde(default)]
    pub smtp: Option<SmtpLogin>,
}

/// Who signs in to the mail server that worker.toml names.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SmtpLogin {
    /// The user.
    pub user: String,
    /// The user's password.
    #[schemars(with = "String")]
    pub password: Secret<String>,
}

impl Configuration for MailConfiguration {
    const SECTIONS: &'static [Section] = &[Section {
        name: "smtp",
        origin: Origin::Worker,
        required: false,
        description: "user and password of the mail server that worker.toml names",
        check: SectionCheck::of::<SmtpLogin>(),
    }];
}

/// Asks for one mail of the outbox to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeliverEmail {
    /// The mail.
    pub outgoing_email_id: EmailId,
}

impl Payload for DeliverEmail {
    const JOB: &'static str = "emails/deliver_email";
    const DESCRIPTION: &'static str = "Writes and sends one mail of the outbox";
    type Config = MailConfiguration;

    fn example() -> Self {
        let id = "mail_01jd0c4x5ve4zrh1k5yq4q8g7m";
        Self { outgoing_email_id: id.parse().expect("an id") }
    }
}

/// Asks for the delivery of every mail of the outbox that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CollectWaiting {}

impl Payload for CollectWaiting {
    const JOB: &'static str = "emails/collect_waiting";
    const DESCRIPTION: &'static str =
        "Asks for the delivery of every mail of the outbox that waits";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self {}
    }
}

/// Why a mail came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BounceKind {
    /// The address does not exist.
    Permanent,
    /// The mailbox is full, or its server does not answer.
    Temporary,
    /// Its owner called the mail unwanted.
    Complaint,
}

/// Tells of a mail that came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApplyBounce {
    /// The event's id, as the one who tells it counts.
    pub event_id: String,
    /// The address that it came back from.
    pub address: String,
    /// Why.
    pub kind: BounceKind,
    /// The mail, if a report named it: then only its own recipient is sent no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outgoing_email_id: Option<EmailId>,
    /// The status (RFC 3463), such as `5.1.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What the refusing server said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Payload for ApplyBounce {
    const JOB: &'static str = "emails/apply_bounce";
    const DESCRIPTION: &'static str =
        "Sends no more mail to an address that does not want or take it";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self {
            event_id: "bounce-4711".to_owned(),
            address: "ann@example.org".to_owned(),
            kind: BounceKind::Permanent,
            outgoing_email_id: None,
            status: None,
            message: None,
        }
    }
}

/// Asks for an account to be welcomed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WelcomeAccount {
    /// The account.
    pub account_id: AccountId,
}

impl Payload for WelcomeAccount {
    const JOB: &'static str = "emails/welcome_account";
    const DESCRIPTION: &'static str = "Welcomes a new account by mail, once";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self { account_id: "acct_01jd0c4x5ve4zrh1k5yq4q8g7m".parse().expect("an id") }
    }
}

/// Asks for the link to be mailed by which a new password is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasswordReset {
    /// The request; the secret in it stays in its table.
    pub password_reset_id: PasswordResetId,
}

impl Payload for PasswordReset {
    const JOB: &'static str = "emails/password_reset";
    const DESCRIPTION: &'static str = "Mails the link by which a new password is chosen";
    type Config = NoConfiguration;

    fn example() -> Self {
        let id = "pwrs_01jd0c4x5ve4zrh1k5yq4q8g7m";
        Self { password_reset_id: id.parse().expect("an id") }
    }
}

/// Asks for accounts to be written to that were made three days ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckInNewAccounts {}

impl Payload for CheckInNewAccounts {
    const JOB: &'static str = "emails/check_in_new_accounts";
    const DESCRIPTION: &'static str = "Writes once to every account that was made three days ago";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self {}
    }
}

/// Asks for the owners of cards to be written to whose last month this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemindExpiringCards {}

impl Payload for RemindExpiringCards {
    const JOB: &'static str = "emails/remind_expiring_cards";
    const DESCRIPTION: &'static str = "Writes once about every card that is in its last month";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self {}
    }
}

/// Asks for what the company's own people are to know to be mailed to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportEvents {
    /// Whether the routine events are to be mailed too, as one digest; alerts always are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub digest: bool,
}

impl Payload for ReportEvents {
    const JOB: &'static str = "emails/report_events";
    const DESCRIPTION: &'static str = "Mails alerts to the admins, and routine events as a digest";
    type Config = NoConfiguration;

    fn example() -> Self {
        Self { digest: true }
    }
}
