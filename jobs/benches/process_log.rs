//! How fast a whole log file becomes usage rows, database included.
//!
//! `taskset -c 0 cargo bench -p jobs [-- MIB]` makes a compressed CloudFront file that inflates to
//! 954 MiB, a thousand million bytes (or to as many MiB as given), runs `logs/process_log` on it in
//! turns with `gzip -dc FILE >/dev/null`, and prints both, their ratio and the largest resident
//! size. Pinned to one core both have that core only.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use database::EngineKind;
use edge_logs::sample::{FileKind, SampleLog, SampleStream};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

#[path = "../tests/it/harness.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the tests use more of it, and may panic")]
mod harness;

use harness::Harness;

const MIB: u64 = 1 << 20;
const DEFAULT_MIB: u64 = 954;
const ROUNDS: u32 = 5;
const STREAMS: usize = 200;
/// About the length of a CloudFront line, to tell how many make a file of the wanted size.
const LINE_BYTES: u64 = 366;

type Done<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main(worker_threads = 1)]
async fn main() -> Done {
    let mib = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(DEFAULT_MIB);
    let names: Vec<String> =
        (0..STREAMS).map(|number| format!("s{:08x}", number * 2_654_435_761)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let harness = Harness::new(EngineKind::Sqlite).await;
    harness.customer(1, &names).await;

    let first = harness.path("cdn", "0.gz");
    let (inflated_bytes, metered_bytes) = write_log(&first, &names, mib * MIB / LINE_BYTES)?;
    let stored_bytes = fs::metadata(&first)?.len();
    say(&format!(
        "{} MB inflated, {} MB stored",
        inflated_bytes / 1_000_000,
        stored_bytes / 1_000_000
    ))?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let start = Instant::now();
        gzip(&first)?;
        theirs.push(start.elapsed());

        let key = format!("{round}.gz");
        if round > 0 {
            fs::hard_link(&first, harness.path("cdn", &key))?;
        }
        let start = Instant::now();
        let file = json!({ "logSource": "cdn", "key": key });
        let done =
            harness.run_json("logs/process_log", &file).await.map_err(|error| error.chain())?;
        ours.push(start.elapsed());
        assert_eq!(done.result["bytes"], metered_bytes, "a wrong answer is not worth measuring");
    }
    let (ours, theirs) = (median(ours), median(theirs));
    say(&format!("logs/process_log: {:.2} s (median of {ROUNDS})", ours.as_secs_f64()))?;
    say(&format!("gzip -dc:         {:.2} s (median of {ROUNDS})", theirs.as_secs_f64()))?;
    say(&format!("ratio             {:.2}", ours.as_secs_f64() / theirs.as_secs_f64()))?;
    // Linux tells the largest resident size of this process, the making of the file included.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    say(peak.unwrap_or("the largest resident size is not known on this system"))
}

/// Writes a compressed log; returns its inflated length and the bytes it meters.
fn write_log(path: &Path, names: &[&str], lines: u64) -> Done<(u64, u64)> {
    let public_key = "0123456789abcdef0123456789abcdef";
    let streams: Vec<SampleStream<'_>> =
        names.iter().map(|name| SampleStream { instance: "cines", name, public_key }).collect();
    let from = "2026-10-31T22:00:00Z".parse()?;
    let log = SampleLog { seed: 1, streams: &streams, from, seconds: 3_600, lines };
    let mut file = GzEncoder::new(BufWriter::new(File::create(path)?), Compression::default());
    let mut counter = Counter { inner: &mut file, bytes: 0 };
    let mut buffered = BufWriter::new(&mut counter);
    let usage = log.write(FileKind::CloudFrontHls, &mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    let inflated_bytes = counter.bytes;
    file.finish()?.flush()?;
    Ok((inflated_bytes, usage.iter().map(|row| row.bytes).sum()))
}

fn gzip(path: &Path) -> Done {
    let status = Command::new("gzip").arg("-dc").arg(path).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err("gzip failed".into()) }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn say(line: &str) -> Done {
    Ok(writeln!(io::stdout(), "{line}")?)
}

/// Counts what passes through.
struct Counter<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.inner.write(bytes)?;
        self.bytes += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
