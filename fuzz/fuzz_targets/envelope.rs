//! Any bytes are an envelope or a refusal, and what is taken means the same to other readers.
#![no_main]

use envelope::{Envelope, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    match Envelope::parse(bytes, &limits) {
        Ok(envelope) => {
            assert!(serde_json::from_slice::<serde_json::Value>(bytes).is_ok());
            assert!(envelope.sections().is_ok());
            let again = Envelope::parse(envelope.to_json().as_bytes(), &limits);
            assert_eq!(again.as_ref(), Ok(&envelope));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
