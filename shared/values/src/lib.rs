//! What every other crate speaks of: names, ids, times, months, money and secrets.
//!
//! Pure: values in, values out. There is no clock, network, environment or randomness in here;
//! whoever needs the time takes a [`Clock`] or a [`Timestamp`].

mod duration;
mod hex;
mod id;
mod money;
mod month;
mod name;
mod rate;
mod retry;
mod secret;
mod suggest;
mod text;
mod time;
mod usage;
mod words;

pub use duration::{DurationError, Span};
pub use hex::hex;
pub use id::{
    AccountId, EmailId, IdError, LogFileId, PasswordResetId, ProjectId, RecordingId, StreamId,
    TaskId, UserId, WorkerId,
};
pub use money::{Currency, Money, MoneyError};
pub use month::{Month, MonthError};
pub use name::{JobName, JobPattern, NameError, Source};
pub use rate::{Rate, RateError};
pub use retry::{Classify, Retry};
pub use secret::Secret;
pub use suggest::did_you_mean;
pub use text::{EMAIL_BYTES_MAX, PLAIN_ID_BYTES_MAX, breaks_line, grouped, is_email, is_plain_id};
pub use time::{Clock, FixedClock, MICROS_PER_SECOND, TimeError, Timestamp};
pub use usage::{UsageKind, UsageKindError};
pub use words::UnknownWord;
