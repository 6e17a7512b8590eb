//! What an answer of the server, or its absence, means.

use std::error::Error;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::S3;
use crate::ObjectError;

const REASON_CHARS_MAX: usize = 300;

/// Codes of an upload that is worth another attempt.
const SENT_ANEW: [&str; 6] = [
    "BadDigest",
    "ChecksumMismatch",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InvalidPart",
    "XAmzContentChecksumMismatch",
];

/// What a request was about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked<'a> {
    Place,
    Object(&'a str),
}

impl S3 {
    pub(super) fn error<E>(&self, asked: Asked<'_>, error: &SdkError<E>) -> ObjectError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let SdkError::ServiceError(answer) = error else {
            return self.no_answer(error);
        };
        let status = answer.raw().status().as_u16();
        let code = answer.err().code();
        let place = self.place.clone();
        // The code only: a server's message may repeat the address or the key id.
        let reason = code.map_or_else(|| format!("status {status}"), str::to_owned);
        match (code, asked) {
            (Some("NoSuchBucket"), _) => return ObjectError::NoPlace { place },
            (Some("NoSuchKey"), Asked::Object(key)) => {
                return ObjectError::NotFound { place, key: key.to_owned() };
            }
            (
                Some(
                    "PermanentRedirect"
                    | "AuthorizationHeaderMalformed"
                    | "IllegalLocationConstraintException",
                ),
                _,
            ) => {
                return self
                    .refused(format!("{reason}; add the bucket's ?region= to the location"));
            }
            (Some("SlowDown" | "RequestTimeout" | "Throttling" | "ThrottlingException"), _) => {
                return ObjectError::Unreachable { place, reason };
            }
            (Some(_) | None, Asked::Place | Asked::Object(_)) => (),
        }
        match (status, asked) {
            (404, Asked::Object(key)) => ObjectError::NotFound { place, key: key.to_owned() },
            (404, Asked::Place) => ObjectError::NoPlace { place },
            (401 | 403, _) => ObjectError::Denied { place, reason, is_folder: false },
            (429 | 500.., _) => ObjectError::Unreachable { place, reason },
            (_, Asked::Place | Asked::Object(_)) => self.refused(reason),
        }
    }

    /// What went wrong with a part or the end of an upload.
    ///
    /// A damaged part and an upload that somebody dropped go well when all is sent anew.
    pub(super) fn upload_error<E>(&self, error: &SdkError<E>) -> ObjectError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match self.error(Asked::Place, error) {
            ObjectError::Refused { place, reason } if SENT_ANEW.contains(&reason.as_str()) => {
                ObjectError::Unreachable { place, reason }
            }
            ObjectError::NoPlace { place } if code_of(error) == Some("NoSuchUpload") => {
                ObjectError::Unreachable { place, reason: "NoSuchUpload".to_owned() }
            }
            other => other,
        }
    }

    pub(super) fn refused(&self, reason: String) -> ObjectError {
        ObjectError::Refused { place: self.place.clone(), reason }
    }

    fn no_answer(&self, error: &(dyn Error + 'static)) -> ObjectError {
        let place = self.place.clone();
        let reason = chain(error);
        // The SDK looks for credentials while it sends, and has no kind of error for that.
        if reason.contains("credentials") {
            ObjectError::Denied { place, reason, is_folder: false }
        } else {
            ObjectError::Unreachable { place, reason }
        }
    }
}

fn code_of<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    match error {
        SdkError::ServiceError(answer) => answer.err().code(),
        _ => None,
    }
}

/// Joins what an error and its causes say, each once, on one line.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
        next = error.source();
    }
    let said = said.join(": ");
    let words: Vec<&str> = said.split_whitespace().collect();
    words.join(" ").chars().take(REASON_CHARS_MAX).collect()
}
