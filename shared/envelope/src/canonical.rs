//! The bytes a proof is made over.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use values::{TaskId, Timestamp};

/// The first of the canonical bytes; another layout gets another number.
pub const CANONICAL_VERSION: u8 = 1;

/// Length of the fields of fixed size, absent options and length prefixes included.
const FIXED_BYTES: usize = 1 + 16 + 8 + 8 + 8 + 8 + 9 + 1 + 4 + 9 + 32 + 32;

/// What travels beside an envelope and is proven with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stamp {
    /// The task this envelope becomes; a proof is good for this id only.
    pub task_id: TaskId,
    /// When the source made the proof, by the source's clock.
    pub issued_at: Timestamp,
    /// The last instant at which the task may be enqueued or started.
    pub not_after: Timestamp,
    /// The earliest start, if it is not at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at: Option<Timestamp>,
    /// 0, 1 or 2; 2 is the highest.
    pub priority: u8,
    /// How often the task may be tried.
    pub max_attempts: u32,
    /// The key that lets only one such task wait or run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_key: Option<String>,
}

/// Writes the bytes a proof is made over, unambiguously: no two requests share them.
///
/// `configuration` and `payload` are the bytes of the JSON as received. Integers are big-endian,
/// times are microseconds since 1970, lengths are 8 bytes and count bytes of UTF-8:
///
/// | Field         | Bytes                                                           |
/// |---------------|-----------------------------------------------------------------|
/// | version       | 1: [`CANONICAL_VERSION`]                                        |
/// | task id       | 16: the UUID                                                    |
/// | source        | 8: length, then the text                                        |
/// | job name      | 8: length, then the text                                        |
/// | issued at     | 8                                                               |
/// | not after     | 8                                                               |
/// | run at        | 1: whether there is one; then 8, zero if there is none          |
/// | priority      | 1                                                               |
/// | max attempts  | 4                                                               |
/// | unique key    | 1: whether there is one; 8: length, zero if none; then the text |
/// | configuration | 32: its SHA-256                                                 |
/// | payload       | 32: its SHA-256                                                 |
pub fn canonical_bytes(
    stamp: &Stamp,
    source: &str,
    job_name: &str,
    configuration: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let Stamp { task_id, issued_at, not_after, run_at, priority, max_attempts, unique_key } = stamp;
    let key = unique_key.as_deref().unwrap_or_default();
    // The only allocation of a proof: its size is known beforehand.
    let mut bytes = Vec::with_capacity(FIXED_BYTES + source.len() + job_name.len() + key.len());
    bytes.push(CANONICAL_VERSION);
    bytes.extend_from_slice(task_id.as_bytes());
    push_text(&mut bytes, source);
    push_text(&mut bytes, job_name);
    push_time(&mut bytes, *issued_at);
    push_time(&mut bytes, *not_after);
    bytes.push(u8::from(run_at.is_some()));
    push_time(&mut bytes, run_at.unwrap_or(Timestamp::EPOCH));
    bytes.push(*priority);
    bytes.extend_from_slice(&max_attempts.to_be_bytes());
    bytes.push(u8::from(unique_key.is_some()));
    push_text(&mut bytes, key);
    bytes.extend_from_slice(digest(&SHA256, configuration).as_ref());
    bytes.extend_from_slice(digest(&SHA256, payload).as_ref());
    bytes
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn push_time(bytes: &mut Vec<u8>, at: Timestamp) {
    bytes.extend_from_slice(&at.as_micros().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            task_id: TaskId::from_bytes([7; 16]),
            issued_at: Timestamp::from_seconds(10),
            not_after: Timestamp::from_seconds(20),
            run_at: None,
            priority: 2,
            max_attempts: 8,
            unique_key: None,
        }
    }

    #[test]
    fn lays_the_fields_out_as_documented() {
        let bytes = canonical_bytes(&stamp(), "api", "a/b", b"{}", b"{}");
        let mut expected = vec![1];
        expected.extend([7; 16]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 3, b'a', b'p', b'i']);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 3, b'a', b'/', b'b']);
        expected.extend(10_000_000_i64.to_be_bytes());
        expected.extend(20_000_000_i64.to_be_bytes());
        expected.extend([0; 9]);
        expected.extend([2, 0, 0, 0, 8]);
        expected.extend([0; 9]);
        expected.extend(digest(&SHA256, b"{}").as_ref());
        expected.extend(digest(&SHA256, b"{}").as_ref());
        assert_eq!(bytes, expected);
        assert_eq!(bytes.len(), FIXED_BYTES + 6);
        assert_eq!(bytes.capacity(), bytes.len());
    }

    #[test]
    fn tells_neighbouring_texts_and_absent_options_apart() {
        let bytes = |source, job: &str| canonical_bytes(&stamp(), source, job, b"", b"");
        assert_ne!(bytes("ab", "c"), bytes("a", "bc"));
        let with = |change: fn(&mut Stamp)| {
            let mut stamp = stamp();
            change(&mut stamp);
            canonical_bytes(&stamp, "a", "b", b"", b"")
        };
        assert_ne!(with(|_| ()), with(|s| s.run_at = Some(Timestamp::EPOCH)));
        assert_ne!(with(|_| ()), with(|s| s.unique_key = Some(String::new())));
    }

    #[test]
    fn travels_as_json() {
        let text = r#"{"taskId":"task_070w3ge1r70w3ge1r70w3ge1r7","issuedAt":"1970-01-01T00:00:10Z","notAfter":"1970-01-01T00:00:20Z","priority":2,"maxAttempts":8}"#;
        assert_eq!(serde_json::to_string(&stamp()).unwrap(), text);
        assert_eq!(serde_json::from_str::<Stamp>(text).unwrap(), stamp());
        let odd = text.replace("priority", "prio");
        assert!(serde_json::from_str::<Stamp>(&odd).is_err());
    }
}
