//! The payment gateway of a configuration: one per key, so that its rate holds for all jobs.

use std::sync::{Mutex, PoisonError};

use contract::billing::PaymentConfiguration;
use payments::{Gateway, PaymentError, Stripe, StripeSettings};

/// Gateways that are kept open; a worker has one, a test run many.
const KEPT: usize = 16;

/// What tells two gateways apart: address, key and environment.
type Named = ((Option<String>, String, String), Gateway);

static OPEN: Mutex<Vec<Named>> = Mutex::new(Vec::new());

/// Opens the gateway of a configuration, or finds it open; by hand without one.
///
/// `environment` is the deployment's name: a key to real money works in `production` only.
///
/// # Errors
/// What is wrong with the configuration.
pub fn open_gateway(
    config: &PaymentConfiguration,
    environment: &str,
) -> Result<Gateway, PaymentError> {
    let Some(payments) = &config.payments else { return Ok(Gateway::Manual) };
    let key = payments.secret_key.expose().clone();
    let name = (payments.endpoint.clone(), key, environment.to_owned());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, gateway)) = open.iter().find(|(known, _)| *known == name) {
        return Ok(gateway.clone());
    }
    let mut settings = StripeSettings::new(payments.secret_key.clone());
    if let Some(endpoint) = &payments.endpoint {
        settings.endpoint.clone_from(endpoint);
    }
    if let Some(rate) = payments.rate_per_second {
        settings.rate_per_second = rate;
    }
    let gateway = Gateway::Stripe(Stripe::new(&settings, environment)?);
    if open.len() >= KEPT {
        open.remove(0);
    }
    open.push((name, gateway.clone()));
    Ok(gateway)
}
