//! Cuts a file into lines without ever holding more than one, or more than a line may have.

use std::io::{BufRead, ErrorKind};

use super::MAX_LINE_BYTES;

/// Reads lines of bounded length.
#[derive(Debug)]
pub struct LineReader<R> {
    source: R,
    number: u64,
}

/// One line was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLine {
    /// Its number, counted from 1.
    pub number: u64,
    /// Bytes it took from the source, line end included; for progress bars.
    pub taken_bytes: u64,
}

impl<R: BufRead> LineReader<R> {
    /// Takes what is to be cut.
    pub fn new(source: R) -> Self {
        Self { source, number: 0 }
    }

    /// Reads the next line into `line`, without its line end; `None` at the end of the source.
    ///
    /// Of a line beyond [`MAX_LINE_BYTES`] one byte more than that is kept, so that an importer
    /// sees that it is too long; the rest is passed over.
    pub fn next_line(&mut self, line: &mut Vec<u8>) -> std::io::Result<Option<ReadLine>> {
        line.clear();
        let mut taken_bytes = 0;
        loop {
            let available = match self.source.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            };
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            let room = (MAX_LINE_BYTES + 1) - line.len();
            line.extend_from_slice(&part[..part.len().min(room)]);
            let used = end.map_or(available.len(), |end| end + 1);
            self.source.consume(used);
            taken_bytes += used as u64;
            let over = end.is_some() || used == 0;
            if over && taken_bytes == 0 {
                return Ok(None);
            }
            if over {
                self.number += 1;
                return Ok(Some(ReadLine { number: self.number, taken_bytes }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn cuts_lines_whatever_the_buffer() {
        let text = b"one\n\ntwo\r\nlast";
        for capacity in 1..20 {
            let mut reader = LineReader::new(BufReader::with_capacity(capacity, &text[..]));
            let (mut line, mut lines) = (Vec::new(), Vec::new());
            while let Some(read) = reader.next_line(&mut line).unwrap() {
                lines.push((
                    read.number,
                    read.taken_bytes,
                    String::from_utf8(line.clone()).unwrap(),
                ));
            }
            let expected = [(1, 4, "one"), (2, 1, ""), (3, 5, "two\r"), (4, 4, "last")];
            assert_eq!(lines, expected.map(|(n, bytes, text)| (n, bytes, text.to_owned())));
        }
    }

    #[test]
    fn keeps_one_byte_too_many_of_a_long_line() {
        let mut text = vec![b'x'; 3 * MAX_LINE_BYTES];
        text.extend_from_slice(b"\nnext\n");
        let mut reader = LineReader::new(&text[..]);
        let mut line = Vec::new();
        let read = reader.next_line(&mut line).unwrap().unwrap();
        assert_eq!((line.len(), read.taken_bytes), (MAX_LINE_BYTES + 1, 3 * 1024 * 1024 + 1));
        reader.next_line(&mut line).unwrap().unwrap();
        assert_eq!(line, b"next");
        assert_eq!(reader.next_line(&mut line).unwrap(), None);
    }
}
