//! One suite that runs on a folder and on a real S3 server (feature `s3`), and what is particular
//! to each.

#[cfg(feature = "s3")]
#[cfg(test)]
mod bad_day;
#[cfg(test)]
mod folder;
#[cfg(all(test, feature = "s3"))]
mod s3;
#[cfg(test)]
mod suite;
#[cfg(feature = "s3")]
#[cfg(test)]
mod uploads;
