//! Stripe's HTTP API, version 1.
//!
//! Parameters, answers and errors are as documented at <https://docs.stripe.com/api>: requests are
//! forms, answers JSON. Only the fields used here are read, and unknown ones are ignored.

mod backoff;
mod client;
mod form;
mod read;
mod wire;

use std::sync::Arc;

use values::Timestamp;

use self::client::{Call, Client, Fault, Reply};
use self::form::Form;
use self::wire::{Created, Intent, RefundRecord};
use crate::{
    Charge, ChargeOutcome, CustomerId, Mode, Payment, PaymentError, PaymentId, PaymentMethodId,
    Refund, RefundOutcome, StripeSettings,
};

/// The version of the API that every request names, whatever the account's default is.
///
/// Versions stay available. What is read here has had the same shape since 2022-11-15; a newer
/// version is taken on purpose, together with a look at its list of changes.
///
/// Source: <https://docs.stripe.com/api/versioning>.
pub const API_VERSION: &str = "2025-09-30.clover";

/// Names of the metadata that payments and refunds carry.
pub(crate) mod metadata {
    pub(crate) const KEY: &str = "key";
    pub(crate) const ACCOUNT: &str = "account";
    pub(crate) const MONTH: &str = "month";
    pub(crate) const ATTEMPT: &str = "attempt";
    pub(crate) const INVOICE: &str = "invoice";
}

/// One Stripe account; clones share open connections and keep their calls below one rate.
#[derive(Debug, Clone)]
pub struct Stripe {
    client: Arc<Client>,
    mode: Mode,
}

impl Stripe {
    /// Checks the settings; nothing is sent yet.
    ///
    /// # Errors
    /// [`PaymentError::LiveKey`] for a key to real money outside `production`,
    /// [`PaymentError::Configuration`] for anything else that cannot work.
    pub fn new(settings: &StripeSettings, environment: &str) -> Result<Self, PaymentError> {
        let checked = settings.check(environment)?;
        let mode = checked.mode;
        Ok(Self { client: Arc::new(Client::new(settings, checked)?), mode })
    }

    /// Whether real money moves.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Creates and confirms a payment intent in one call.
    ///
    /// Source: <https://docs.stripe.com/api/payment_intents/create>.
    pub(crate) async fn charge(&self, charge: &Charge) -> Result<ChargeOutcome, PaymentError> {
        let form = Form::new()
            .with("amount", charge.amount.minor)
            .with("currency", lower(charge.amount))
            .with("customer", &charge.customer)
            .with("payment_method", &charge.payment_method)
            // Without it, methods are offered that need a page to return to.
            .with("payment_method_types[]", "card")
            .with("confirm", true)
            .with("off_session", true)
            .metadata(metadata::KEY, &charge.key)
            .metadata(metadata::ACCOUNT, charge.account)
            .metadata(metadata::MONTH, charge.month)
            .metadata(metadata::ATTEMPT, charge.attempt)
            .metadata(metadata::INVOICE, &charge.invoice);
        let call = Call::post("charge a card", "/v1/payment_intents", form, &charge.key);
        Ok(match self.client.send::<Intent>(call).await {
            Ok(Reply::Done(intent)) => intent.outcome_for(charge.amount),
            Ok(Reply::Refused(error)) => error.outcome(),
            Err(Fault::Doubt(reason)) => ChargeOutcome::Unknown { reason },
            Err(Fault::Certain(error)) => return Err(error),
        })
    }

    /// Source: <https://docs.stripe.com/api/payment_intents/retrieve>.
    pub(crate) async fn retrieve(&self, id: &PaymentId) -> Result<Option<Payment>, PaymentError> {
        let path = format!("/v1/payment_intents/{id}");
        let intent = self.client.read::<Intent>("read a payment", &path, Form::new()).await?;
        Ok(intent.map(Intent::into_payment))
    }

    /// Source: <https://docs.stripe.com/api/refunds/create>.
    pub(crate) async fn refund(&self, refund: &Refund) -> Result<RefundOutcome, PaymentError> {
        let form = Form::new()
            .with("payment_intent", &refund.payment)
            .with("amount", refund.amount.minor)
            .metadata(metadata::KEY, &refund.key)
            .metadata(metadata::ACCOUNT, refund.account);
        let call = Call::post("refund a payment", "/v1/refunds", form, &refund.key);
        Ok(match self.client.send::<RefundRecord>(call).await {
            Ok(Reply::Done(record)) => record.outcome(),
            Ok(Reply::Refused(error)) => RefundOutcome::Refused { code: error.into_code() },
            Err(Fault::Doubt(reason)) => RefundOutcome::Unknown { reason },
            Err(Fault::Certain(error)) => return Err(error),
        })
    }

    /// Makes a customer; used to verify the settings.
    ///
    /// Source: <https://docs.stripe.com/api/customers/create>.
    pub(crate) async fn make_customer(
        &self,
        name: &str,
        key: &str,
    ) -> Result<CustomerId, PaymentError> {
        let form = Form::new().with("name", name);
        let customer: Created<CustomerId> =
            self.client.write("make a customer", "/v1/customers", form, key).await?;
        Ok(customer.id)
    }

    /// Gives a customer a card; used to verify the settings.
    ///
    /// Source: <https://docs.stripe.com/api/payment_methods/attach>.
    pub(crate) async fn attach(
        &self,
        card: &PaymentMethodId,
        customer: &CustomerId,
        key: &str,
    ) -> Result<PaymentMethodId, PaymentError> {
        let path = format!("/v1/payment_methods/{card}/attach");
        let form = Form::new().with("customer", customer);
        let card: Created<PaymentMethodId> =
            self.client.write("attach a card", &path, form, key).await?;
        Ok(card.id)
    }

    /// Removes a customer; used to verify the settings.
    ///
    /// Source: <https://docs.stripe.com/api/customers/delete>.
    pub(crate) async fn remove_customer(&self, id: &CustomerId) -> Result<(), PaymentError> {
        self.client.delete("remove a customer", &format!("/v1/customers/{id}")).await
    }

    /// Looks for a payment under a key; see [`crate::Gateway::find`].
    pub(crate) async fn find(
        &self,
        customer: &CustomerId,
        key: &str,
        since: Timestamp,
    ) -> Result<Option<Payment>, PaymentError> {
        let payments = self.payments(customer, since).await?;
        let ours = payments.into_iter().filter(|payment| payment.key.as_deref() == Some(key));
        // Several are there only if the key was used again after the gateway had forgotten it.
        Ok(ours.max_by_key(|payment| (payment.outcome.weight(), payment.created)))
    }
}

/// The currency as the API writes it.
fn lower(amount: values::Money) -> String {
    amount.currency.to_string().to_ascii_lowercase()
}
