//! Mails as data, one type each. An outbox row stores a [`Message`] as JSON.

use serde::{Deserialize, Serialize};
use values::{Money, Month, Timestamp};

use crate::admin::{AdminAlert, AdminDigest, AdminMonthClosed};
use crate::parts::{
    BroadcastUse, CardName, Metered, Paid, PeerUse, PlanPrice, PrivateLink, Product, ProductChange,
};

/// Defines the enum of all messages; a message's name is the file of its template.
macro_rules! messages {
    ($($(#[$doc:meta])* $name:literal: $variant:ident($type:ty), $audience:ident;)*) => {
        /// A mail before it has words: everything that its template says about one case.
        ///
        /// In JSON, `mail` is the name and the other keys are the fields.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "mail")]
        pub enum Message {
            $(
                $(#[$doc])*
                #[serde(rename = $name)]
                $variant($type),
            )*
        }

        impl Message {
            /// The names of all messages, in the order they are defined.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// Its name, which is also the name of its template.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                }
            }

            /// Whether it goes to the company's own people.
            pub const fn is_for_admins(&self) -> bool {
                const ADMINS: bool = true;
                const CUSTOMER: bool = false;
                match self {
                    $(Self::$variant(_) => $audience,)*
                }
            }

            /// The template as shipped: a file beside this one.
            pub(crate) fn built_in(name: &str) -> Option<&'static str> {
                match name {
                    $($name => Some(include_str!(concat!("templates/", $name, ".mail"))),)*
                    _ => None,
                }
            }
        }
    };
}

messages! {
    /// Someone has signed up.
    "welcome": Welcome(Welcome), CUSTOMER;
    /// Someone has asked for a new password.
    "password_reset": PasswordReset(PasswordReset), CUSTOMER;
    /// A month was invoiced; the PDF is attached.
    "monthly_invoice": MonthlyInvoice(Box<MonthlyInvoice>), CUSTOMER;
    /// Plans were replaced because of usage.
    "plan_upgraded": PlanUpgraded(PlanUpgraded), CUSTOMER;
    /// Usage comes close to what the plans give.
    "near_limit": NearLimit(NearLimit), CUSTOMER;
    /// The account is stopped: it used more than it may.
    "throttled_over_limit": ThrottledOverLimit(ThrottledOverLimit), CUSTOMER;
    /// A card was declined; the account stops in a few days.
    "card_declined": CardDeclined(DeclinedCard), CUSTOMER;
    /// A card is about to expire.
    "card_expiring": CardExpiring(CardExpiring), CUSTOMER;
    /// The bank wants its customer to confirm a charge.
    "authentication_needed": AuthenticationNeeded(AuthenticationNeeded), CUSTOMER;
    /// The account works again.
    "throttle_lifted": ThrottleLifted(ThrottleLifted), CUSTOMER;
    /// Three days after sign-up, nothing was used yet.
    "check_in_unused": CheckInUnused(CheckIn), CUSTOMER;
    /// Three days after sign-up, streams were broadcast.
    "check_in_broadcast": CheckInBroadcast(CheckIn), CUSTOMER;
    /// Three days after sign-up, peers have talked.
    "check_in_peer": CheckInPeer(CheckIn), CUSTOMER;
    /// Something happened that a person should look at now.
    "admin_alert": AdminAlert(AdminAlert), ADMINS;
    /// What happened since the last digest.
    "admin_digest": AdminDigest(AdminDigest), ADMINS;
    /// A month was closed and charged.
    "admin_month_closed": AdminMonthClosed(AdminMonthClosed), ADMINS;
}

/// [`Message::Welcome`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The user's name, or else the account's.
    pub name: String,
}

/// [`Message::PasswordReset`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordReset {
    /// The user's name, or else their address.
    pub name: String,
    /// Where a new password is chosen.
    pub reset_url: PrivateLink,
    /// Until when that works.
    pub valid_until: Timestamp,
}

/// [`Message::MonthlyInvoice`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthlyInvoice {
    /// The account's name.
    pub account: String,
    /// What was invoiced.
    pub month: Month,
    /// The invoice's number.
    pub number: String,
    /// Broadcast plans and usage, if it has plans.
    pub broadcast: Option<BroadcastUse>,
    /// Peer plans and usage, if it has plans.
    pub peer: Option<PeerUse>,
    /// Whether only the days since sign-up were charged.
    pub prorated: bool,
    /// The sum without tax.
    pub net: Money,
    /// The tax, perhaps zero.
    pub tax: Money,
    /// What is charged: the invoice's total.
    pub total: Money,
    /// How it is paid.
    pub paid: Paid,
}

/// [`Message::PlanUpgraded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanUpgraded {
    /// The account's name.
    pub account: String,
    /// The month whose usage was too much, and from which on the new price holds.
    pub month: Month,
    /// Every product that changed, at least one.
    pub changes: Vec<ProductChange>,
}

/// [`Message::NearLimit`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearLimit {
    /// The account's name.
    pub account: String,
    /// The month.
    pub month: Month,
    /// What comes close, at least one.
    pub metered: Vec<Metered>,
    /// The plans that would follow by themselves; none above the largest plan.
    pub next: Vec<NextPlan>,
}

/// The plan that follows when a limit is passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextPlan {
    /// The product.
    pub product: Product,
    /// The plan.
    pub plan: PlanPrice,
}

/// [`Message::ThrottledOverLimit`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottledOverLimit {
    /// The account's name.
    pub account: String,
    /// Since when it is stopped.
    pub at: Timestamp,
    /// What is too much; none when the account has no card and more than the free allowance.
    pub metered: Vec<Metered>,
    /// Whether a card on file would have prevented it.
    pub card_missing: bool,
    /// The marketplace that bills the account.
    pub marketplace: Option<Marketplace>,
}

/// A marketplace as its customers know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marketplace {
    /// Its name.
    pub name: String,
    /// Its page where plans are changed.
    pub url: String,
}

/// [`Message::CardDeclined`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclinedCard {
    /// The account's name.
    pub account: String,
    /// The month that could not be charged.
    pub month: Month,
    /// What is due.
    pub amount: Money,
    /// The card that was declined.
    pub card: CardName,
    /// When the account stops unless it is paid; `None` for accounts that are never stopped.
    pub throttled_at: Option<Timestamp>,
}

/// [`Message::CardExpiring`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardExpiring {
    /// The account's name.
    pub account: String,
    /// The card.
    pub card: CardName,
}

/// [`Message::AuthenticationNeeded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticationNeeded {
    /// The account's name.
    pub account: String,
    /// The month to pay.
    pub month: Month,
    /// What is to be confirmed.
    pub amount: Money,
    /// The card whose bank asks.
    pub card: CardName,
    /// Where it is confirmed; on the account's page when absent.
    pub confirm_url: Option<PrivateLink>,
    /// When the account stops unless it is confirmed; `None` for accounts that are never stopped.
    pub throttled_at: Option<Timestamp>,
}

/// [`Message::ThrottleLifted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleLifted {
    /// The account's name.
    pub account: String,
    /// Since when it works again.
    pub at: Timestamp,
}

/// [`Message::CheckInUnused`], [`Message::CheckInBroadcast`] and [`Message::CheckInPeer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckIn {
    /// The user's name, or else the account's.
    pub name: String,
}
