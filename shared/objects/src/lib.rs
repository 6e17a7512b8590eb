//! Object storage: a folder, or S3.
//!
//! Both keep named objects, list them in the order of their keys' bytes, a page at a time, and
//! stream them. One suite of tests runs on both. S3 is compiled in with the feature `s3`.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use objects::{Location, ObjectStore};
//!
//! let location: Location = "s3://edge-logs/cloudfront?region=eu-west-1".parse()?;
//! let store = ObjectStore::open(&location, None).await?;
//! let page = store.list_page(None).await?;
//! for object in page.objects {
//!     let mut reader = store.read(&object.key, 64 * 1024 * 1024).await?;
//!     while let Some(chunk) = reader.next_chunk().await? {
//!         println!("{} bytes of {}", chunk.len(), object.key);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod error;
mod folder;
mod key;
mod location;
mod percent;
mod reader;
#[cfg(feature = "s3")]
mod s3;
mod store;
mod walk;

pub use error::ObjectError;
pub use key::KEY_BYTES_MAX;
pub use location::{Location, LocationError};
pub use reader::ObjectReader;
pub use store::{
    Credentials, ObjectInfo, ObjectStore, PAGE, PART_BYTES, PARTS_AT_ONCE, Page, SKIPPED_NAMES_MAX,
    Stored, Timeouts,
};
