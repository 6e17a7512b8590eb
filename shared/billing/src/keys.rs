//! Keys under which an effect happens once, whoever asks for it and how often.

use std::fmt;

use values::{AccountId, Month};

/// The key of one attempt to charge a month, also the gateway's idempotency key.
///
/// A new attempt number is given only after the gateway refused the one before for certain; while
/// an answer is unknown, the same key is used again and finds the first charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChargeKey {
    /// Whose month.
    pub account: AccountId,
    /// Which month.
    pub month: Month,
    /// Which attempt, from 1.
    pub attempt: u32,
}

impl fmt::Display for ChargeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, month, attempt } = self;
        write!(f, "charge/{account}/{month}/{attempt}")
    }
}

/// The key of the one warning an account gets in a month.
pub fn warning_key(account: AccountId, month: Month) -> String {
    format!("warning/{account}/{month}")
}

/// The key of an upgrade: `plan_version` counts the changes of the account's plans so far.
pub fn upgrade_key(account: AccountId, plan_version: u64) -> String {
    format!("upgrade/{account}/{plan_version}")
}

/// The key of a throttle: `sequence` counts the account's throttles so far.
pub fn throttle_key(account: AccountId, sequence: u64) -> String {
    format!("throttle/{account}/{sequence}")
}

#[cfg(test)]
mod tests {
    use values::Timestamp;

    use super::*;

    #[test]
    fn a_key_names_account_month_and_attempt() {
        let account = AccountId::new(Timestamp::EPOCH, [7; 10]);
        let month = "2026-10".parse().unwrap();
        let key = ChargeKey { account, month, attempt: 2 };
        assert_eq!(key.to_string(), format!("charge/{account}/2026-10/2"));
        assert_eq!(warning_key(account, month), format!("warning/{account}/2026-10"));
        assert_eq!(upgrade_key(account, 3), format!("upgrade/{account}/3"));
        assert_eq!(throttle_key(account, 1), format!("throttle/{account}/1"));
    }
}
