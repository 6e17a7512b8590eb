//! An object's body becomes totals: read where waiting is cheap, inflated and parsed elsewhere.

use std::io::{self, BufRead, Read};
use std::path::Path;

use bytes::{Buf, Bytes};
use edge_logs::{LogParser, ParsedLog};
use flate2::bufread::MultiGzDecoder;
use job::{Context, JobError};
use objects::ObjectReader;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::error::LogError;

/// Pieces of a body that wait for the decoder.
const PIECES_WAITING: usize = 4;
/// Inflated bytes that the parser takes at a time.
const INFLATED_CHUNK_BYTES: usize = 128 * 1024;
/// What every gzip file begins with is so long: the bytes 1f and 8b.
const HEAD_BYTES: usize = 2;

/// A whole file in totals.
pub(super) struct Folded {
    pub(super) parsed: ParsedLog,
    pub(super) inflated_bytes: u64,
}

/// Reads, inflates and parses a body; gzip is known by its first bytes, all else is plain text.
///
/// Memory does not grow with the body: a few pieces of it, one inflated chunk, the parser.
pub(super) async fn fold(
    cx: &Context,
    reader: ObjectReader,
    parser: LogParser,
    max_inflated_bytes: u64,
) -> Result<Folded, JobError> {
    let (pieces, body) = mpsc::channel(PIECES_WAITING);
    let thread = Thread {
        key: reader.info().key.clone(),
        parser,
        inflated_bytes: 0,
        max_inflated_bytes,
        cancellation: cx.cancellation().clone(),
    };
    let folding = tokio::task::spawn_blocking(move || thread.fold(Body::new(body)));
    // A body that broke off looks like a short one from the other side, so its reason goes first.
    let fed = feed(cx, reader, pieces).await;
    let ended = match folding.await {
        Ok(ended) => ended,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => return Err(JobError::Cancelled),
        },
    };
    fed?;
    ended
}

/// Passes the body on until it ends or nobody takes more.
async fn feed(
    cx: &Context,
    mut reader: ObjectReader,
    pieces: mpsc::Sender<Bytes>,
) -> Result<(), JobError> {
    let (size_bytes, mut read_bytes) = (reader.info().size_bytes, 0);
    loop {
        let piece = tokio::select! {
            biased;
            () = cx.cancelled() => return Err(JobError::Cancelled),
            piece = reader.next_chunk() => piece?,
        };
        let Some(piece) = piece else { return Ok(()) };
        read_bytes += piece.len() as u64;
        if pieces.send(piece).await.is_err() {
            return Ok(()); // the other side has an error to tell
        }
        cx.progress(
            fraction(read_bytes, size_bytes),
            format!("{read_bytes} of {size_bytes} bytes"),
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "a bar on a screen needs no 53 bits")]
fn fraction(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// What the thread that inflates and parses works with.
struct Thread {
    key: String,
    parser: LogParser,
    inflated_bytes: u64,
    max_inflated_bytes: u64,
    cancellation: CancellationToken,
}

impl Thread {
    fn fold(mut self, mut body: Body) -> Result<Folded, JobError> {
        match body.head() {
            [0x1f, 0x8b] => self.inflate(body)?,
            // What will be a gzip file one day has not got its first bytes yet.
            [] if is_named_gzip(&self.key) => return Err(self.cut_off().into()),
            [0x1f] => return Err(self.cut_off().into()),
            _ => {
                while let Some(piece) = body.next() {
                    self.push(&piece)?;
                }
            }
        }
        let Self { key, parser, inflated_bytes, max_inflated_bytes: _, cancellation: _ } = self;
        let parsed = parser.finish().map_err(|cause| LogError::Unreadable { key, cause })?;
        Ok(Folded { parsed, inflated_bytes })
    }

    fn inflate(&mut self, body: Body) -> Result<(), JobError> {
        let mut decoder = MultiGzDecoder::new(body);
        let mut chunk = vec![0; INFLATED_CHUNK_BYTES];
        loop {
            match decoder.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(len) => self.push(&chunk[..len])?,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(self.cut_off().into());
                }
                Err(cause) => return Err(LogError::Damaged { key: self.key.clone(), cause }.into()),
            }
        }
    }

    fn push(&mut self, chunk: &[u8]) -> Result<(), JobError> {
        if self.cancellation.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        self.inflated_bytes += chunk.len() as u64;
        if self.inflated_bytes > self.max_inflated_bytes {
            let max_bytes = self.max_inflated_bytes;
            return Err(LogError::InflatesTooFar { key: self.key.clone(), max_bytes }.into());
        }
        let pushed = self.parser.push(chunk);
        pushed.map_err(|cause| LogError::Unreadable { key: self.key.clone(), cause }.into())
    }

    fn cut_off(&self) -> LogError {
        LogError::CutOff { key: self.key.clone() }
    }
}

fn is_named_gzip(key: &str) -> bool {
    Path::new(key).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

/// A body as it comes through the channel; its end is the end of the channel.
struct Body {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Body {
    fn new(pieces: mpsc::Receiver<Bytes>) -> Self {
        Self { pieces, piece: Bytes::new() }
    }

    /// The first two bytes, or as many as there are; they stay to be read.
    fn head(&mut self) -> &[u8] {
        while self.piece.len() < HEAD_BYTES {
            let Some(next) = self.pieces.blocking_recv() else { break };
            self.piece = if self.piece.is_empty() {
                next
            } else {
                self.piece.iter().chain(&next).copied().collect()
            };
        }
        &self.piece[..self.piece.len().min(HEAD_BYTES)]
    }

    /// The next piece, whole; `None` at the end.
    fn next(&mut self) -> Option<Bytes> {
        if self.piece.is_empty() {
            return self.pieces.blocking_recv();
        }
        Some(std::mem::take(&mut self.piece))
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.piece.is_empty() {
            self.piece = self.pieces.blocking_recv().unwrap_or_default();
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, len: usize) {
        self.piece.advance(len);
    }
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(into)?;
        self.consume(len);
        Ok(len)
    }
}
