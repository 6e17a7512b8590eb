//! The archival jobs on real files, folders, object storage and programs.

mod announce;
mod archive;
mod bad_files;
mod catalogue;
mod ground;
#[cfg(feature = "s3")]
mod s3;
