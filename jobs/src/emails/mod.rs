//! Mail to customers and to the company's own people.

mod apply_bounce;
mod check_in_new_accounts;
mod collect_waiting;
mod compose;
mod deliver_email;
mod password_reset;
mod preview;
mod remind_expiring_cards;
mod report_events;
mod settings;
mod welcome_account;

pub(crate) use apply_bounce::ApplyBounce;
pub(crate) use check_in_new_accounts::CheckInNewAccounts;
pub(crate) use collect_waiting::CollectWaiting;
pub(crate) use compose::{Mailing, deliver, deliver_each, event, once};
pub(crate) use deliver_email::DeliverEmail;
pub(crate) use password_reset::PasswordReset;
pub use preview::{MailPreview, preview_mails};
pub(crate) use remind_expiring_cards::RemindExpiringCards;
pub(crate) use report_events::ReportEvents;
pub use settings::MailTemplates;
pub(crate) use welcome_account::WelcomeAccount;

/// Whether a mail's row holds a link that is of no more use once the mail is at its end.
fn holds_a_link(email: &models::outbox::OutgoingEmail) -> bool {
    matches!(&*email.kind, "password_reset" | "authentication_needed")
}
