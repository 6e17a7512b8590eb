//! Private servers for tests: started, paused, cut off and killed at will; benches for jobs.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let s3 = testkit::S3Server::start().await?;
//! s3.create_bucket("edge-logs").await?;
//! let proxy = testkit::Proxy::start(s3.address()).await?;
//! proxy.cut_after(10_000); // the connection breaks in the middle of a body
//! # Ok(())
//! # }
//! ```
//!
//! PostgreSQL comes in two kinds. Tests that leave the server alone share one and get a database
//! each, copied from a template; tests that crash, stop or pause it start their own.
//!
//! ```no_run
//! # async fn example(migrate: impl AsyncFnOnce(String) -> anyhow::Result<()>) -> anyhow::Result<()> {
//! let database = testkit::postgres_template("tasks", migrate).await?; // dropped at its end
//! let pool = testkit::PgBouncer::start(
//!     database.server().address(),
//!     testkit::PoolMode::Transaction,
//!     4, // connections
//! );
//! let pooled = pool.await?.url(database.name());
//!
//! let own = testkit::PostgresServer::start(testkit::Profile::Fast).await?;
//! let url = own.fresh_database().await?;
//! own.kill(); // a crash
//! own.start_again().await?; // on the same port, with what was committed
//! # Ok(())
//! # }
//! ```
//!
//! Every server lives in a temporary folder, listens on 127.0.0.1 and ports that the kernel chose,
//! and dies with its value or with the test's process, whichever goes first; the shared one with
//! the run. `ci/services` installs
//! the programs; a test whose server is missing fails and says so.
//!
//! With the feature `jobs`, `Workbench` runs jobs inline and `Asking` shows what a program asked
//! for; docs/adding_a_job.md has an example of each.

mod account;
#[cfg(feature = "jobs")]
mod asking;
#[cfg(feature = "jobs")]
mod clock;
mod http;
mod localstripe;
mod pgbouncer;
mod ports;
mod postgres;
mod programs;
mod proxy;
mod rtmp;
mod s3;
#[cfg(feature = "jobs")]
mod scratch;
mod sentry;
mod server;
mod smtp;
#[cfg(feature = "database")]
mod test_db;
#[cfg(feature = "jobs")]
mod workbench;

#[cfg(feature = "jobs")]
pub use asking::{Asking, Inbox};
#[cfg(feature = "jobs")]
pub use clock::{NOW, TestClock};
pub use localstripe::LocalStripe;
pub use pgbouncer::{PgBouncer, PoolMode};
pub use postgres::{
    PostgresOptions, PostgresServer, Profile, SharedPostgres, Snapshot, TestDatabase,
    postgres_template, shared_postgres,
};
pub use proxy::Proxy;
pub use rtmp::RtmpServer;
pub use s3::S3Server;
pub use sentry::SentryServer;
pub use smtp::{ReceivedMail, ReceivedPart, SmtpSecurity, SmtpServer};
#[cfg(feature = "database")]
pub use test_db::TestDb;
#[cfg(feature = "jobs")]
pub use workbench::{Cut, Done, Workbench};
