//! The gateway's own names for things.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use values::{PLAIN_ID_BYTES_MAX as MAX_BYTES, is_plain_id};

/// Why a text cannot be an id of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} of the gateway has 1 to {MAX_BYTES} letters, digits and underscores")]
pub struct GatewayIdError {
    /// What the id would name.
    kind: &'static str,
}

fn check(kind: &'static str, text: String) -> Result<String, GatewayIdError> {
    // Ids become parts of addresses: nothing that could lead elsewhere gets through.
    if is_plain_id(&text) { Ok(text) } else { Err(GatewayIdError { kind }) }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as the gateway writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = GatewayIdError;

            fn try_from(text: String) -> Result<Self, GatewayIdError> {
                check($kind, text).map(Self)
            }
        }

        impl FromStr for $name {
            type Err = GatewayIdError;

            fn from_str(text: &str) -> Result<Self, GatewayIdError> {
                text.to_owned().try_into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// A customer of the gateway (`cus_...`).
    CustomerId = "a customer id";
    /// A card that a customer left with the gateway (`pm_...`).
    PaymentMethodId = "a payment method id";
    /// One payment, successful or not (`pi_...`).
    PaymentId = "a payment id";
    /// Money on its way back (`re_...`).
    RefundId = "a refund id";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_a_gateway_gives_and_nothing_that_leads_elsewhere() {
        for good in ["cus_NffrFeUfNV2Hib", "card_1", "a"] {
            assert_eq!(good.parse::<CustomerId>().unwrap().as_str(), good);
        }
        let long = "a".repeat(MAX_BYTES + 1);
        for bad in ["", "../refunds", "pi_1/confirm", "pi 1", "pi?x=1", "pi_ä", long.as_str()] {
            let error = bad.parse::<PaymentId>().unwrap_err().to_string();
            assert!(error.starts_with("a payment id of the gateway has 1 to 255"), "{error}");
        }
    }

    #[test]
    fn is_checked_when_read_from_json() {
        assert!(serde_json::from_str::<RefundId>("\"re_1\"").is_ok());
        assert!(serde_json::from_str::<RefundId>("\"re/1\"").is_err());
    }
}
