//! How to reach Stripe.

use std::num::NonZeroU32;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use values::Secret;

use crate::PaymentError;

/// Where Stripe answers. Source: <https://docs.stripe.com/api>.
const ENDPOINT: &str = "https://api.stripe.com";
/// Calls per second, unless told otherwise: below the 25 that one kind of call may make.
///
/// Source: <https://docs.stripe.com/rate-limits>.
const RATE_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).expect("20 is not zero");
/// The one environment in which real money moves.
const PRODUCTION: &str = "production";

/// How to reach Stripe.
#[derive(Debug, Clone)]
pub struct StripeSettings {
    /// `sk_test_...` or `rk_test_...`; in production `sk_live_...` or, better, `rk_live_...`.
    pub secret_key: Secret<String>,
    /// The address; `https`, or `http` to this machine.
    pub endpoint: String,
    /// Calls per second that this process makes at the most.
    pub rate_per_second: NonZeroU32,
    /// How long to wait for what.
    pub waits: Waits,
}

impl StripeSettings {
    /// Takes the key, and for everything else what Stripe documents.
    pub fn new(secret_key: Secret<String>) -> Self {
        Self {
            secret_key,
            endpoint: ENDPOINT.to_owned(),
            rate_per_second: RATE_PER_SECOND,
            waits: Waits::default(),
        }
    }

    /// Whether the key moves real money.
    ///
    /// # Errors
    /// [`PaymentError::Configuration`] if it is no secret key.
    pub fn mode(&self) -> Result<Mode, PaymentError> {
        let key = self.secret_key.expose();
        let begins = |prefixes: [&str; 2]| prefixes.iter().any(|prefix| key.starts_with(prefix));
        if begins(["sk_test_", "rk_test_"]) {
            Ok(Mode::Test)
        } else if begins(["sk_live_", "rk_live_"]) {
            Ok(Mode::Live)
        } else {
            let problem = "a secret key begins with sk_test_, rk_test_, sk_live_ or rk_live_; \
                           the publishable key (pk_) cannot charge";
            Err(PaymentError::Configuration { problem: problem.to_owned() })
        }
    }

    /// Checks everything that can be checked without a call.
    pub(crate) fn check(&self, environment: &str) -> Result<Checked, PaymentError> {
        let mode = self.mode()?;
        if mode == Mode::Live && environment != PRODUCTION {
            return Err(PaymentError::LiveKey { environment: environment.to_owned() });
        }
        let wrong = |problem: &str| PaymentError::Configuration { problem: problem.to_owned() };
        let header = format!("Bearer {}", self.secret_key.expose());
        let mut authorization = HeaderValue::try_from(header)
            .map_err(|_| wrong("the secret key contains characters that no key has"))?;
        authorization.set_sensitive(true);
        let endpoint = Url::parse(&self.endpoint)
            .map_err(|_| wrong("the endpoint is not an address; write https://HOST"))?;
        let host = endpoint.host_str().unwrap_or_default();
        let local = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
        if endpoint.scheme() != "https" && !(endpoint.scheme() == "http" && local) {
            return Err(wrong("the endpoint needs https, or http to this machine"));
        }
        Ok(Checked { mode, authorization, endpoint })
    }
}

/// Settings that can work.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) mode: Mode,
    pub(crate) authorization: HeaderValue,
    pub(crate) endpoint: Url,
}

/// Whether real money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only test cards work.
    Test,
    /// Real cards are charged.
    Live,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// For a connection.
    pub connect: Duration,
    /// For the whole answer to one try.
    pub answer: Duration,
    /// Between tries, at the most, the first time; doubles each time.
    pub backoff: Duration,
    /// No try begins later than this after the first; a job's timeout lies above `call + answer`.
    pub call: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            backoff: Duration::from_millis(500),
            call: Duration::from_mins(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, endpoint: &str, environment: &str) -> Result<Mode, String> {
        let mut settings = StripeSettings::new(key.to_owned().into());
        endpoint.clone_into(&mut settings.endpoint);
        settings.check(environment).map(|checked| checked.mode).map_err(|error| error.to_string())
    }

    /// Fault 21: a deployment that does not say what it is takes no real money.
    #[test]
    fn refuses_live_keys_outside_production() {
        for key in ["sk_live_abc", "rk_live_abc"] {
            assert_eq!(check(key, ENDPOINT, "production"), Ok(Mode::Live));
            for environment in ["", "staging", "development", "Production", "prod"] {
                let error = check(key, ENDPOINT, environment).unwrap_err();
                assert!(error.contains("a live key is refused"), "{error}");
                assert!(!error.contains("abc"), "{error}");
            }
        }
        assert_eq!(check("rk_test_abc", ENDPOINT, "staging"), Ok(Mode::Test));
    }

    #[test]
    fn refuses_what_cannot_be_a_secret_key_without_showing_it() {
        for key in ["", "pk_test_abc", "sk_abc", "whsec_abc", "sk_test_a\nb"] {
            let error = check(key, ENDPOINT, "production").unwrap_err();
            assert!(error.starts_with("the payment gateway is not configured"), "{error}");
            assert!(key.is_empty() || !error.contains(key), "{error}");
        }
    }

    #[test]
    fn a_key_travels_encrypted_or_not_at_all() {
        for good in ["https://stripe.example", "http://127.0.0.1:1", "http://localhost:1"] {
            assert_eq!(check("sk_test_abc", good, "staging"), Ok(Mode::Test));
        }
        for bad in ["http://stripe.example", "ftp://127.0.0.1", "api.stripe.com", ""] {
            assert!(check("sk_test_abc", bad, "staging").is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_print_without_the_key() {
        let settings = StripeSettings::new("sk_test_abc".to_owned().into());
        assert!(!format!("{settings:?}").contains("abc"));
        let checked = settings.check("staging").unwrap();
        assert!(!format!("{checked:?}").contains("abc"), "{checked:?}");
    }
}
