//! The company's mails: what they say, how they look, and how they leave.
//!
//! A [`Message`] is one mail as data. [`Templates`] turn it into a [`Letter`], text and HTML with
//! everything escaped, or into nothing at all. A [`Mailer`] puts the letter into a folder or hands
//! it to an SMTP server, and says which of the few possible things has happened to it.
//!
//! ```
//! # async fn example(row_id: &str, now: values::Timestamp) -> Result<(), Box<dyn std::error::Error>> {
//! use mail::{Brand, Delivery, Mailer, Message, Outlet, Parcel, Reach, Recipient, Templates, Welcome};
//!
//! let templates = Templates::load(Brand::example(), None)?; // at start: finds every fault
//! let mailer = Mailer::open(Outlet::folder("mails"), Reach::Everyone)?;
//!
//! let letter = templates.letter(&Parcel {
//!     id: row_id, // of the outbox row: the same again for a repeat
//!     date: now,
//!     to: &Recipient::new("ann@example.org".parse()?, Some("Ann")),
//!     message: &Message::Welcome(Welcome { name: "Ann".to_owned() }),
//!     attachments: &[],
//! })?;
//! match mailer.deliver(&letter).await {
//!     Delivery::Sent { .. } => {}
//!     Delivery::Later { .. } => {}    // nothing was accepted: try again
//!     Delivery::Refused { .. } => {}  // never try again
//!     Delivery::Unknown { .. } => {}  // it may have been accepted
//!     Delivery::Withheld { .. } => {} // not production, and not a listed domain
//! }
//! # Ok(())
//! # }
//! ```
//!
//! There is no tracking of opens or clicks. Times are printed in UTC, and say so.

mod address;
mod admin;
mod bounce;
mod brand;
mod check;
mod delivery;
mod error;
mod figures;
mod folder;
mod letter;
mod message;
mod parts;
mod samples;
mod script;
mod smtp;
mod templates;

pub use address::{Address, AddressError, Recipient};
pub use admin::{
    ADMIN_EVENTS_LISTED_MAX, AdminAlert, AdminDigest, AdminEvent, AdminEventKind, AdminMonthClosed,
    Code, CodeError, SettledCount,
};
pub use bounce::{BounceError, DeliveryReport, UndeliveredTo};
pub use brand::{Brand, Colors, Link};
pub use delivery::{Delivery, FolderSettings, Mailer, Outlet, Reach};
pub use error::{MailError, OpenError, TemplateProblem, TemplateProblems};
pub use letter::{Attachment, LETTER_BYTES_MAX, Letter, Parcel};
pub use message::{
    AuthenticationNeeded, CardExpiring, CheckIn, DeclinedCard, Marketplace, Message,
    MonthlyInvoice, NearLimit, NextPlan, PasswordReset, PlanUpgraded, ThrottleLifted,
    ThrottledOverLimit, Welcome,
};
pub use parts::{
    BroadcastUse, CardName, Metered, Paid, PeerUse, PlanPrice, PrivateLink, Product, ProductChange,
};
pub use samples::samples;
pub use smtp::{SmtpSecurity, SmtpSettings};
pub use templates::{Rendered, Templates};
