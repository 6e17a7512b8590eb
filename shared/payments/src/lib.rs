//! The payment gateway: Stripe, or by hand.
//!
//! ```no_run
//! # async fn example(charge: payments::Charge) -> Result<(), payments::PaymentError> {
//! use payments::{ChargeOutcome, Gateway, Stripe, StripeSettings};
//!
//! let settings = StripeSettings::new("sk_test_4eC39".to_owned().into());
//! let gateway = Gateway::Stripe(Stripe::new(&settings, "staging")?);
//! match gateway.charge(&charge).await? {
//!     ChargeOutcome::Accepted { id } => println!("paid by {id}"),
//!     ChargeOutcome::Unknown { reason } => println!("ask again, same key: {reason}"),
//!     refused => println!("{:?}", refused.customer_message()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! One charge is one key. Whatever happened on the way, asking again with the same key finds the
//! first charge; a gateway forgets a key after a day, so that [`Gateway::reconcile`] looks the
//! payment up from [`LOOK_UP_AFTER`] on. What an answer means is told by the type and code of the
//! gateway's error, never by the text of its message.
//!
//! With the feature `scripted`, `scripted::ScriptedGateway` is a gateway of our own for tests
//! and the demo. docs/payments.md says what was tested against what.

mod card;
mod charge;
mod error;
mod gateway;
mod id;
mod rate;
mod refund;
#[cfg(feature = "scripted")]
pub mod scripted;
mod settings;
mod stripe;
mod verify;
pub mod webhook;

pub use card::Card;
pub use charge::{Charge, ChargeOutcome, Payment, UnknownReason, customer_message};
pub use error::PaymentError;
pub use gateway::{Gateway, LOOK_UP_AFTER};
pub use id::{CustomerId, GatewayIdError, PaymentId, PaymentMethodId, RefundId};
pub use refund::{Refund, RefundOutcome};
pub use settings::{Mode, StripeSettings, Waits};
pub use stripe::{API_VERSION, Stripe};
pub use verify::{Report, Step, verify};
