//! How fast logs are read.
//!
//! `cargo bench -p edge_logs` parses 64 MiB of each kind of file, inflated and in memory.
//! `cargo bench -p edge_logs -- gzip [MIB]` makes a compressed CloudFront file of 1024 MiB (or as
//! many as given), reads it from the disk to usage, and compares that with `gzip -dc`.

use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use edge_logs::sample::{ACCOUNT_CODE, FileKind, SampleLog, SampleStream};
use edge_logs::{LogParser, Options, ParsedLog, Usage};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use values::Timestamp;

const MIB: u64 = 1 << 20;
const ROUNDS: usize = 5;
const CHUNK_BYTES: usize = 128 * 1024;
const STREAMS: usize = 200;
/// About the length of a CloudFront line, to tell how many make a file of the wanted size.
const CLOUDFRONT_LINE_BYTES: u64 = 310;

type Done<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Done {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.iter().position(|&word| word == "gzip") {
        None => parse_alone(),
        Some(at) => {
            let mib = words.get(at + 1).and_then(|word| word.parse().ok());
            gzip_to_usage(mib.unwrap_or(1_024))
        }
    }
}

/// Parses what lies in memory.
fn parse_alone() -> Done {
    let names = names();
    let streams = streams(&names);
    for kind in FileKind::ALL {
        let mut text = Vec::new();
        let expected = log(&streams, 64 * MIB / CLOUDFRONT_LINE_BYTES).write(kind, &mut text)?;
        let mut best = Duration::MAX;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let mut parser = LogParser::new(kind.format(), options());
            for chunk in black_box(&text).chunks(CHUNK_BYTES) {
                parser.push(chunk)?;
            }
            let parsed = parser.finish()?;
            best = best.min(start.elapsed());
            check(parsed, &streams, &expected);
        }
        let megabytes = megabytes(text.len() as u64);
        let rate = megabytes / best.as_secs_f64();
        say(&format!("{kind:?}: {megabytes:.0} MB, {rate:.0} MB/s"))?;
    }
    Ok(())
}

/// Reads a compressed file to usage, in turns with `gzip -dc`.
fn gzip_to_usage(mib: u64) -> Done {
    let names = names();
    let streams = streams(&names);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("log.gz");
    let mut file = GzEncoder::new(BufWriter::new(File::create(&path)?), Compression::default());
    let mut counter = Counter { inner: &mut file, bytes: 0 };
    let log = log(&streams, mib * MIB / CLOUDFRONT_LINE_BYTES);
    let expected = {
        let mut buffered = BufWriter::with_capacity(CHUNK_BYTES, &mut counter);
        let expected = log.write(FileKind::CloudFrontHls, &mut buffered)?;
        buffered.flush()?;
        expected
    };
    let inflated = megabytes(counter.bytes);
    file.finish()?.flush()?;
    let compressed = megabytes(fs::metadata(&path)?.len());
    say(&format!("{inflated:.0} MB inflated, {compressed:.0} MB compressed"))?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(timed(|| gzip(&path))?.0);
        let (time, parsed) = timed(|| read(&path))?;
        ours.push(time);
        check(parsed, &streams, &expected);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    for (name, time) in [("gzip to usage", ours), ("gzip -dc", theirs)] {
        let rate = inflated / time.as_secs_f64();
        say(&format!("{name}: {:.2} s, {rate:.0} MB/s (median of {ROUNDS})", time.as_secs_f64()))?;
    }
    say(&format!("ratio {:.2}", ours.as_secs_f64() / theirs.as_secs_f64()))?;
    // Linux tells the largest resident size of this process, generation of the file included.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    say(peak.unwrap_or("peak memory is not known on this system"))
}

fn read(path: &Path) -> Done<ParsedLog> {
    let mut file = MultiGzDecoder::new(BufReader::with_capacity(CHUNK_BYTES, File::open(path)?));
    let mut parser = LogParser::new(FileKind::CloudFrontHls.format(), options());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(parser.finish()?),
            len => parser.push(&chunk[..len])?,
        }
    }
}

fn gzip(path: &Path) -> Done {
    let status = Command::new("gzip").arg("-dc").arg(path).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err("gzip failed".into()) }
}

fn check(parsed: ParsedLog, streams: &[SampleStream<'_>], expected: &[Usage<usize>]) {
    let found = parsed.resolve(|wanted| streams.iter().position(|s| s.name == wanted.name));
    assert_eq!(found.usage, expected, "a wrong answer is not worth measuring");
}

fn names() -> Vec<String> {
    (0..STREAMS).map(|number| format!("s{:08x}", number * 2_654_435_761)).collect()
}

fn streams(names: &[String]) -> Vec<SampleStream<'_>> {
    let stream = |name| SampleStream {
        instance: "cines",
        name,
        public_key: "0123456789abcdef0123456789abcdef",
    };
    names.iter().map(|name| stream(name.as_str())).collect()
}

fn log<'a>(streams: &'a [SampleStream<'a>], lines: u64) -> SampleLog<'a> {
    SampleLog {
        seed: 1,
        streams,
        from: Timestamp::from_seconds(1_416_855_600),
        seconds: 3_600,
        lines,
    }
}

fn options() -> Options {
    Options { reserved_instances: vec![ACCOUNT_CODE.to_owned()], ..Options::default() }
}

fn timed<T>(work: impl FnOnce() -> Done<T>) -> Done<(Duration, T)> {
    let start = Instant::now();
    let result = work()?;
    Ok((start.elapsed(), result))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read, not counted with")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
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
