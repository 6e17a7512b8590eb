//! Lists and other questions.

use serde::de::DeserializeOwned;
use values::{Span, Timestamp};

use super::Stripe;
use super::form::Form;
use super::wire::{Intent, Method, Page, RefundRecord};
use crate::{Card, CustomerId, Payment, PaymentError, PaymentId, PaymentMethodId, RefundOutcome};

/// Entries of a page; the API gives at most 100. Source: <https://docs.stripe.com/api/pagination>.
const PAGE: u32 = 100;
/// Pages of one list.
const MAX_PAGES: u32 = 20;
/// How far our clock and the gateway's may be apart.
const CLOCK_SKEW: Span = Span::from_hours(1);

impl Stripe {
    /// All payments of a customer from `since` on, newest first.
    ///
    /// Source: <https://docs.stripe.com/api/payment_intents/list>.
    pub(super) async fn payments(
        &self,
        customer: &CustomerId,
        since: Timestamp,
    ) -> Result<Vec<Payment>, PaymentError> {
        let form = Form::new()
            .with("customer", customer)
            .with("created[gte]", since.before(CLOCK_SKEW).as_seconds());
        let intents =
            self.list("list payments", "/v1/payment_intents", &form, |intent: &Intent| {
                intent.id.as_str().to_owned()
            });
        Ok(intents.await?.into_iter().map(Intent::into_payment).collect())
    }

    /// What became of the refund under a key; see [`crate::Gateway::reconcile_refund`].
    ///
    /// Source: <https://docs.stripe.com/api/refunds/list>.
    pub(crate) async fn find_refund(
        &self,
        payment: &PaymentId,
        key: &str,
    ) -> Result<Option<RefundOutcome>, PaymentError> {
        let form = Form::new().with("payment_intent", payment);
        let id = |refund: &RefundRecord| refund.id.as_str().to_owned();
        let refunds = self.list("list refunds", "/v1/refunds", &form, id).await?;
        let ours = refunds.into_iter().find(|refund| refund.has_key(key));
        Ok(ours.map(RefundRecord::outcome))
    }

    /// Source: <https://docs.stripe.com/api/payment_methods/list>.
    pub(crate) async fn cards(&self, customer: &CustomerId) -> Result<Vec<Card>, PaymentError> {
        let form = Form::new().with("customer", customer).with("type", "card");
        let id = |method: &Method| method.id.as_str().to_owned();
        let methods = self.list("list cards", "/v1/payment_methods", &form, id).await?;
        Ok(methods.into_iter().filter_map(Method::into_card).collect())
    }

    /// Source: <https://docs.stripe.com/api/payment_methods/retrieve>.
    pub(crate) async fn card(&self, id: &PaymentMethodId) -> Result<Option<Card>, PaymentError> {
        let path = format!("/v1/payment_methods/{id}");
        let method = self.client.read::<Method>("read a card", &path, Form::new()).await?;
        Ok(method.and_then(Method::into_card))
    }

    /// Asks for one entry of the list of payments; used to verify the settings.
    pub(crate) async fn peek(&self) -> Result<Option<Payment>, PaymentError> {
        let form = Form::new().with("limit", 1);
        let call = "list payments";
        let page = self.client.read::<Page<Intent>>(call, "/v1/payment_intents", form).await?;
        Ok(page.and_then(|page| page.data.into_iter().next()).map(Intent::into_payment))
    }

    async fn list<T: DeserializeOwned>(
        &self,
        call: &'static str,
        path: &str,
        form: &Form,
        id: impl Fn(&T) -> String,
    ) -> Result<Vec<T>, PaymentError> {
        let mut all: Vec<T> = Vec::new();
        for _ in 0..MAX_PAGES {
            let mut form = form.clone().with("limit", PAGE);
            if let Some(last) = all.last() {
                form = form.with("starting_after", id(last));
            }
            let page = self.client.read::<Page<T>>(call, path, form).await?;
            let missing = || PaymentError::Refused { call, code: "resource_missing".to_owned() };
            let page = page.ok_or_else(missing)?;
            let ends = !page.has_more || page.data.is_empty();
            all.extend(page.data);
            if ends {
                return Ok(all);
            }
        }
        Err(PaymentError::TooMany { call, pages: MAX_PAGES })
    }
}
