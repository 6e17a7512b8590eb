//! Edge logs of content delivery networks become usage: bytes per stream, UTC hour and kind.
//!
//! Pure: bytes in, totals out. The caller reads and inflates the file, and knows the streams.
//!
//! ```
//! use edge_logs::{LogFormat, LogParser, Options, SourceFormat};
//!
//! let log = "#Fields: date time sc-bytes cs-uri-stem\n\
//!     2026-10-31\t23:59:58\t680099\t/hls/kb7Qx2LmW-1793491198000.ts\n";
//! let format = LogFormat::detect(SourceFormat::CloudFront, "hls/host/D1.2026-10-31-23.0a.gz")?;
//! let mut parser = LogParser::new(format, Options::default());
//! for chunk in log.as_bytes().chunks(16) {
//!     parser.push(chunk)?;
//! }
//! let parsed = parser.finish()?;
//! assert_eq!(parsed.names(), ["kb7Qx2LmW"]); // looked up by the caller, all in one query
//! let resolved = parsed.resolve(|stream| (stream.name == "kb7Qx2LmW").then_some(7));
//! assert_eq!((resolved.usage[0].stream, resolved.usage[0].bytes), (7, 680_099));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A bad line never stops a file: it is counted by [`Reason`] and the first ones are kept with
//! their line number. Memory is bounded by [`Options`], whatever the file holds.

mod columns;
mod fields;
mod format;
mod layouts;
mod line;
mod names;
mod options;
mod outcome;
mod parser;
mod resolve;
pub mod sample;
mod totals;
mod uri;

pub use format::{LogFormat, SourceFormat, UnknownLogType};
pub use line::{Entry, Fault, LineReader, Verdict};
pub use options::{FmsBytes, Options};
pub use outcome::{FileError, LineCounts, Problem, Reason, Skip};
pub use parser::LogParser;
pub use resolve::{ParsedLog, Resolved, StreamName, Usage};
pub use values::UsageKind;
