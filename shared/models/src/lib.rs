//! The domain's tables: accounts, projects, streams, the log ledger, usage and recordings, and their import
//! and export as JSON Lines.
//!
//! Writes are free functions over a [`Tx`](database::Tx), so that a caller puts several of them
//! into one transaction; reads take a [`Reader`], which is a `&Db` or a `&mut Tx`. They fail with
//! [`DbError`](database::DbError), which is what a job's final write step returns.
//!
//! **Invariant:** nothing in here reads a clock or makes an id; both are arguments.

pub mod accounts;
mod batch;
pub mod billing;
pub mod incidents;
pub mod ledger;
pub mod limits;
pub mod outbox;
pub mod peer_time;
pub mod plans;
pub mod projects;
pub mod publishing;
mod reader;
pub mod recordings;
pub mod roll_up;
mod schema;
pub mod sign_ups;
pub mod streams;
pub mod throttles;
pub mod transfer;
pub mod usage;
mod words;

pub use accounts::{Account, BillingProvider, ThrottledReason};
pub use ledger::{FileOutcome, FileTotals, LogFile, LogState};
pub use projects::Project;
pub use reader::Reader;
pub use schema::SCHEMA;
pub use streams::{Stream, StreamRef};
pub use usage::UsageRow;
