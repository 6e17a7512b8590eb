//! Money given back.

use serde::{Deserialize, Serialize};
use values::{AccountId, Money};

use crate::charge::{check_amount, check_key};
use crate::{PaymentError, PaymentId, RefundId, UnknownReason};

/// Money to give back of one payment, all or a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The idempotency key; a new one only after a definite refusal.
    pub key: String,
    /// The payment it is taken from.
    pub payment: PaymentId,
    /// How much, above zero and in the payment's currency.
    pub amount: Money,
    /// Whose payment it was.
    pub account: AccountId,
}

impl Refund {
    /// Refuses what no gateway takes, before anything is sent.
    pub(crate) fn check(&self) -> Result<(), PaymentError> {
        check_key(&self.key)?;
        check_amount(self.amount)
    }
}

/// What became of a refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum RefundOutcome {
    /// The money is given back.
    Accepted {
        /// The refund.
        id: RefundId,
    },
    /// The money is on its way; an event tells the end.
    Pending {
        /// The refund.
        id: RefundId,
    },
    /// Nothing was given back.
    Refused {
        /// The gateway's code.
        code: String,
    },
    /// The money may have been given back or not; ask again under the same key.
    Unknown {
        /// Why nothing is known.
        reason: UnknownReason,
    },
    /// No gateway holds the money: a person pays it back.
    ByHand,
}
