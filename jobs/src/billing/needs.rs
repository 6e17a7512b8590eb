//! What billing needs beside settings that can be read, for `main-worker check`.

use serde_json::{Map, Value};

use super::settings::Settings;

/// Says how months are billed; `None` while nothing is, or while the settings cannot be read, which
/// is told where the handlers are made. `by_hand` says that no payment gateway is configured.
///
/// # Errors
/// What is missing, and what to write.
pub fn billing_needs(
    settings: &Map<String, Value>,
    by_hand: bool,
) -> Option<Result<String, String>> {
    let settings: Settings = serde_json::from_value(Value::Object(settings.clone())).ok()?;
    let first = settings.first_month?;
    if let Err(error) = settings.check_issuer() {
        return Some(Err(error.chain()));
    }
    if by_hand && settings.issuer.bank.is_empty() {
        let problem = "without the section `payments` customers pay by transfer, and invoices do \
                       not say where to; set bank in [domains.billing.issuer], such as \
                       bank = { IBAN = \"DE02 1203 0000 0000 2020 51\" }";
        return Some(Err(problem.to_owned()));
    }
    let way = if by_hand { "by transfer" } else { "through the payment gateway" };
    Some(Ok(format!("from {first} on, {way}, in the name of {}", settings.issuer.legal_name)))
}
