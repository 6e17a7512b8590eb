//! Log files to try the jobs on.

use std::io::Write as _;

use edge_logs::sample::{ACCOUNT_CODE, FileKind, SampleLog, SampleStream};
use flate2::Compression;
use flate2::write::GzEncoder;

const PUBLIC_KEY: &str = "0123456789abcdef0123456789abcdef";

/// Streams of the samples.
pub(crate) const NAMES: [&str; 3] = ["alpha", "beta_2026", "gamma"];

/// A sample file and the bytes that it meters.
pub(crate) struct Sample {
    pub(crate) text: Vec<u8>,
    pub(crate) bytes: i64,
}

pub(crate) fn sample(kind: FileKind, seed: u64, lines: u64) -> Sample {
    let streams =
        NAMES.map(|name| SampleStream { instance: "cines", name, public_key: PUBLIC_KEY });
    let from = "2026-10-31T22:30:00Z".parse().unwrap();
    let log = SampleLog { seed, streams: &streams, from, seconds: 7_200, lines };
    let mut text = Vec::new();
    let usage = log.write(kind, &mut text).unwrap();
    let bytes: u64 = usage.iter().map(|row| row.bytes).sum();
    Sample { text, bytes: i64::try_from(bytes).unwrap() }
}

pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// The lines of worker.toml that leave the account's own instance out of the bill.
pub(crate) fn reserved() -> String {
    format!(
        "[jobs.\"logs/process_log\"]\nsettings = {{ lines = {{ reserved_instances = [\"{ACCOUNT_CODE}\"] }} }}\n"
    )
}
