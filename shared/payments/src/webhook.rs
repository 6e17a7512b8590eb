//! Events that Stripe sends: is it really Stripe, and what is it about.
//!
//! Pure: bytes and a time go in, an [`Event`] comes out. The door that takes requests stores the
//! body under [`Event::id`] before it answers with 200, because Stripe repeats what is not answered
//! so, and may send an event twice, late, or before the one that came first. A job then reads the
//! payment anew instead of believing the order of events.
//!
//! Source: <https://docs.stripe.com/webhooks>.

mod event;

use aws_lc_rs::hmac;
use values::{Secret, Span, Timestamp, hex};

pub use self::event::{Event, EventKind};

/// The header that carries time and signatures.
pub const SIGNATURE_HEADER: &str = "stripe-signature";
/// How far the signed time and ours may be apart; older deliveries are replays.
pub const TOLERANCE: Span = Span::from_minutes(5);
/// Bytes of an event; a payment has about 4 KiB.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// Bytes of the signature header.
const MAX_HEADER_BYTES: usize = 4096;
/// Signatures looked at; there are two while a secret is being replaced.
const MAX_SIGNATURES: usize = 16;
/// Bytes of a signature.
const TAG_BYTES: usize = 32;

/// Why a delivery is refused. No variant carries a secret or what the sender wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// No secret to check with.
    #[error("no webhook secret is configured; copy it (whsec_...) from the endpoint's page")]
    NoSecret,
    /// Body or header are larger than any real one.
    #[error("the event is larger than {MAX_BODY_BYTES} bytes, or its signature header is")]
    TooLarge,
    /// The header is missing a time or a signature, or is no such header.
    #[error("the signature header is missing or not of the form t=...,v1=...")]
    BadHeader,
    /// None of the signatures is ours.
    #[error("no signature matches; the event is forged, was changed, or the secret is another's")]
    BadSignature,
    /// The signed time is more than [`TOLERANCE`] away.
    #[error(
        "the event was signed more than 5 minutes from now; it is a replay or a clock is wrong"
    )]
    OutOfTime,
    /// Properly signed, and yet no event.
    #[error("the body is signed but is no event of the documented form")]
    Malformed,
}

/// Checks a delivery and reads its event.
///
/// `header` is the value of [`SIGNATURE_HEADER`], `body` the bytes exactly as received. `secrets`
/// are those of the endpoint, whole and with their prefix: two while one is being replaced.
///
/// # Errors
/// [`WebhookError`]; nothing of the body is read before a signature matched.
///
/// Source: <https://docs.stripe.com/webhooks/signature>.
pub fn open(
    secrets: &[Secret<String>],
    header: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<Event, WebhookError> {
    if body.len() > MAX_BODY_BYTES || header.len() > MAX_HEADER_BYTES {
        return Err(WebhookError::TooLarge);
    }
    let (time, signatures) = parse(header).ok_or(WebhookError::BadHeader)?;
    let signed = signed_bytes(time, body);
    let mut found = false;
    let mut usable = 0;
    // Anybody can sign with an empty secret.
    for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
        usable += 1;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        for signature in &signatures {
            // Takes the same time wherever the first difference is.
            found |= hmac::verify(&key, &signed, signature).is_ok();
        }
    }
    if usable == 0 {
        return Err(WebhookError::NoSecret);
    }
    if !found {
        return Err(WebhookError::BadSignature);
    }
    let at = time.parse().map(Timestamp::from_seconds).map_err(|_| WebhookError::BadHeader)?;
    if now.since(at).max(at.since(now)) > TOLERANCE {
        return Err(WebhookError::OutOfTime);
    }
    event::read(body).ok_or(WebhookError::Malformed)
}

/// Makes the header that [`open`] accepts, for tests and for whoever plays the gateway.
pub fn sign(secret: &Secret<String>, body: &[u8], at: Timestamp) -> String {
    let time = at.as_seconds().to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let tag = hmac::sign(&key, &signed_bytes(&time, body));
    format!("t={time},v1={}", hex(tag.as_ref()))
}

/// Finds the time, as written, and the signatures of the one scheme that counts.
fn parse(header: &str) -> Option<(&str, Vec<Vec<u8>>)> {
    let mut time = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=')? {
            ("t", _) if time.is_some() => return None,
            ("t", value) => time = Some(value),
            ("v1", value) if signatures.len() < MAX_SIGNATURES => signatures.push(unhex(value)?),
            ("v1", _) => return None,
            // Other schemes exist (v0 for test events) and prove nothing.
            _ => {}
        }
    }
    let digits = |time: &&str| !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    let time = time.filter(digits)?;
    (!signatures.is_empty()).then_some((time, signatures))
}

fn signed_bytes(time: &str, body: &[u8]) -> Vec<u8> {
    [time.as_bytes(), b".", body].concat()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.len() != 2 * TAG_BYTES {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok();
    digits.chunks_exact(2).map(pair).collect()
}

#[cfg(test)]
mod tests;
