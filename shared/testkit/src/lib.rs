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
//! Every server lives in a temporary folder, listens on 127.0.0.1 and ports that the kernel chose,
//! and dies with its value or with the test's process, whichever goes first. `ci/services` installs
//! the programs; a test whose server is missing fails and says so.
//!
//! With the feature `jobs`, `Workbench` runs jobs inline and `Asking` shows what a program asked
//! for; docs/adding_a_job.md has an example of each.

#[cfg(feature = "jobs")]
mod asking;
#[cfg(feature = "jobs")]
mod clock;
mod http;
mod ports;
mod programs;
mod proxy;
mod s3;
#[cfg(feature = "jobs")]
mod scratch;
mod sentry;
mod server;
#[cfg(feature = "jobs")]
mod workbench;

#[cfg(feature = "jobs")]
pub use asking::{Asking, Inbox};
#[cfg(feature = "jobs")]
pub use clock::{NOW, TestClock};
pub use proxy::Proxy;
pub use s3::S3Server;
pub use sentry::SentryServer;
#[cfg(feature = "jobs")]
pub use workbench::{Cut, Done, Workbench};
