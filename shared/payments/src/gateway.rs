//! The one door to money: who takes it, and how.

use values::{Span, Timestamp};

use crate::{
    Card, Charge, ChargeOutcome, CustomerId, Payment, PaymentError, PaymentId, PaymentMethodId,
    Refund, RefundOutcome, Stripe,
};

/// From this age on a key may be forgotten (Stripe keeps them for 24 hours at least), so that the
/// payment is looked up before the key is used again.
///
/// Source: <https://docs.stripe.com/api/idempotent_requests>.
pub const LOOK_UP_AFTER: Span = Span::from_hours(23);

/// Who takes the money; clones share connections and rate.
#[derive(Debug, Clone)]
pub enum Gateway {
    /// Stripe, or what speaks its protocol.
    Stripe(Stripe),
    /// Nobody: customers pay the invoice, and a person records that.
    Manual,
}

impl Gateway {
    /// The name in settings, reports and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stripe(_) => "stripe",
            Self::Manual => "manual",
        }
    }

    /// Charges a card whose owner is not there, once per key, in one call.
    ///
    /// # Errors
    /// When nothing was taken for certain and nothing is wrong with the card: the settings, the
    /// key, the request, or [`PaymentError::RateLimited`]. A call that went out and whose end is
    /// not known is no error but [`ChargeOutcome::Unknown`].
    pub async fn charge(&self, charge: &Charge) -> Result<ChargeOutcome, PaymentError> {
        charge.check()?;
        match self {
            Self::Stripe(stripe) => stripe.charge(charge).await,
            Self::Manual => Ok(ChargeOutcome::ByHand),
        }
    }

    /// Finds out what became of a charge that was first tried at `first_tried` and has no end.
    ///
    /// `None` says that [`Gateway::charge`] with the same key may be called: within
    /// [`LOOK_UP_AFTER`] the gateway still knows the key, and later the payment was looked for and
    /// is not there. It asks the gateway only when the key is old.
    ///
    /// # Errors
    /// When the payment cannot be looked up; then nothing may be charged either.
    pub async fn reconcile(
        &self,
        charge: &Charge,
        first_tried: Timestamp,
        now: Timestamp,
    ) -> Result<Option<ChargeOutcome>, PaymentError> {
        charge.check()?;
        match self {
            Self::Stripe(_) if now.since(first_tried) < LOOK_UP_AFTER => Ok(None),
            Self::Stripe(stripe) => {
                let found = stripe.find(&charge.customer, &charge.key, first_tried).await?;
                Ok(found.map(|payment| payment.outcome))
            }
            Self::Manual => Ok(Some(ChargeOutcome::ByHand)),
        }
    }

    /// Looks for the payment that a customer made under a key, at `since` or later.
    ///
    /// It reads the customer's list of payments, which is complete at once; the gateway's search
    /// lags behind by a minute and more.
    ///
    /// # Errors
    /// When the list cannot be read to its end.
    pub async fn find(
        &self,
        customer: &CustomerId,
        key: &str,
        since: Timestamp,
    ) -> Result<Option<Payment>, PaymentError> {
        match self {
            Self::Stripe(stripe) => stripe.find(customer, key, since).await,
            Self::Manual => Ok(None),
        }
    }

    /// Reads one payment; `None` if there is none with that id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn retrieve(&self, payment: &PaymentId) -> Result<Option<Payment>, PaymentError> {
        match self {
            Self::Stripe(stripe) => stripe.retrieve(payment).await,
            Self::Manual => Ok(None),
        }
    }

    /// Gives money back, once per key.
    ///
    /// # Errors
    /// As for [`Gateway::charge`].
    pub async fn refund(&self, refund: &Refund) -> Result<RefundOutcome, PaymentError> {
        refund.check()?;
        match self {
            Self::Stripe(stripe) => stripe.refund(refund).await,
            Self::Manual => Ok(RefundOutcome::ByHand),
        }
    }

    /// As [`Gateway::reconcile`], for a refund.
    ///
    /// # Errors
    /// When the refund cannot be looked up; then nothing may be given back either.
    pub async fn reconcile_refund(
        &self,
        refund: &Refund,
        first_tried: Timestamp,
        now: Timestamp,
    ) -> Result<Option<RefundOutcome>, PaymentError> {
        refund.check()?;
        match self {
            Self::Stripe(_) if now.since(first_tried) < LOOK_UP_AFTER => Ok(None),
            Self::Stripe(stripe) => stripe.find_refund(&refund.payment, &refund.key).await,
            Self::Manual => Ok(Some(RefundOutcome::ByHand)),
        }
    }

    /// Reads all cards of a customer, newest first.
    ///
    /// # Errors
    /// When they cannot be read, or the customer does not exist.
    pub async fn cards(&self, customer: &CustomerId) -> Result<Vec<Card>, PaymentError> {
        match self {
            Self::Stripe(stripe) => stripe.cards(customer).await,
            Self::Manual => Ok(Vec::new()),
        }
    }

    /// Reads one card; `None` if there is none with that id, or if it is no card.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn card(&self, id: &PaymentMethodId) -> Result<Option<Card>, PaymentError> {
        match self {
            Self::Stripe(stripe) => stripe.card(id).await,
            Self::Manual => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn by_hand_nothing_is_taken_and_nothing_is_unclear() {
        let amount = values::Money { minor: 100, currency: values::Currency::USD };
        let charge = Charge {
            key: "charge/1".to_owned(),
            customer: "cus_1".parse().unwrap(),
            payment_method: "pm_1".parse().unwrap(),
            amount,
            account: values::AccountId::new(Timestamp::EPOCH, [1; 10]),
            month: "2026-10".parse().unwrap(),
            attempt: 1,
            invoice: "INV-1".to_owned(),
        };
        let now = Timestamp::EPOCH;
        assert_eq!(Gateway::Manual.charge(&charge).await.unwrap(), ChargeOutcome::ByHand);
        let found = Gateway::Manual.reconcile(&charge, now, now).await.unwrap();
        assert_eq!(found, Some(ChargeOutcome::ByHand));
        assert_eq!(Gateway::Manual.cards(&charge.customer).await.unwrap(), []);

        let nothing = Charge { amount: values::Money { minor: 0, ..amount }, ..charge };
        assert!(Gateway::Manual.charge(&nothing).await.is_err());
    }
}
