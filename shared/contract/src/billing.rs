//! Money: closing months, charging them once, and corrections by hand.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use values::{AccountId, Currency, Money, Month, Secret, Timestamp};

use crate::{Configuration, NoConfiguration, Origin, Payload, Section, SectionCheck};

/// What the jobs that move money need to reach the payment gateway.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PaymentConfiguration {
    /// The gateway; without it customers pay by transfer and a person records that.
    #[serde(default)]
    pub payments: Option<Payments>,
}

impl Configuration for PaymentConfiguration {
    const SECTIONS: &'static [Section] = &[Section {
        name: "payments",
        origin: Origin::Worker,
        required: false,
        description: "secretKey of the payment gateway, and webhookSecrets of its events",
        check: SectionCheck::of::<Payments>(),
    }];
}

/// Access to the payment gateway.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Payments {
    /// The gateway's secret key; one for real money works in the environment `production` only.
    #[schemars(with = "String")]
    pub secret_key: Secret<String>,
    /// What the gateway signs its events with; two while one is being replaced.
    #[schemars(with = "Vec<String>")]
    #[serde(default)]
    pub webhook_secrets: Vec<Secret<String>>,
    /// The gateway's address, unless it is the usual one.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Calls per second of one worker at the most; 20 when absent.
    #[serde(default)]
    pub rate_per_second: Option<std::num::NonZeroU32>,
}

/// Defines a payload with its job's name, description, configuration and example.
macro_rules! payload {
    ($(#[$doc:meta])* $name:ident, $job:literal, $description:literal, $config:ty,
     { $($(#[$field_doc:meta])* $field:ident: $type:ty = $example:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Payload for $name {
            const JOB: &'static str = $job;
            const DESCRIPTION: &'static str = $description;
            type Config = $config;

            fn example() -> Self {
                Self { $($field: $example,)* }
            }
        }
    };
}

/// Who asks for a month to be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceTrigger {
    /// The run over all accounts.
    MonthlyRun,
    /// A person.
    Operator,
}

payload! {
    /// Asks for months to be closed: usage frozen, and one follow-up per account to be billed.
    CloseMonth, "billing/close_month",
    "Freezes the usage of ended months and asks for every open account to be invoiced",
    NoConfiguration, {
        /// The only month to close; all that have ended when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        month: Option<Month> = Month::new(2026, 10),
        /// Where to go on: the last account asked for. Set by the job itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<AccountId> = None,
    }
}

payload! {
    /// Asks for one account's month to be invoiced and charged, once.
    InvoiceAccount, "billing/invoice_account",
    "Invoices and charges one account's month; whatever happens, once",
    PaymentConfiguration, {
        /// Whose month.
        account_id: AccountId = account(),
        /// Which month.
        month: Month = month(),
        /// Who asks.
        trigger: InvoiceTrigger = InvoiceTrigger::Operator,
    }
}

payload! {
    /// Asks for open months to be charged that a customer agreed to pay.
    CollectOpenMonths, "billing/collect_open_months",
    "Charges the open months a customer agreed to, then lifts the throttle",
    PaymentConfiguration, {
        /// Whose months.
        account_id: AccountId = account(),
        /// The months that were shown.
        months: Vec<Month> = vec![month()],
        /// The sum that was shown.
        agreed_total: Money = money(),
    }
}

payload! {
    /// Asks for a month not to be charged.
    WaiveMonth, "billing/waive_month",
    "Gives up what an account's month costs; after its invoice by a credit note",
    NoConfiguration, {
        /// Whose month.
        account_id: AccountId = account(),
        /// Which month.
        month: Month = month(),
        /// Why.
        reason: String = "outage of 12 October".to_owned(),
    }
}

payload! {
    /// Asks for an invoice, or a part of it, to be taken back.
    IssueCreditNote, "billing/issue_credit_note",
    "Takes an invoice or a part of it back by a credit note",
    NoConfiguration, {
        /// The invoice's number.
        invoice: String = "INV-000123".to_owned(),
        /// How much, tax included.
        amount: Money = money(),
        /// The asker's own name for this note; a second task with it does nothing.
        reference: String = "ticket-4711".to_owned(),
        /// Why.
        reason: String = "wrong plan".to_owned(),
    }
}

payload! {
    /// Asks for money to be given back.
    RefundPayment, "billing/refund_payment",
    "Gives money of a paid invoice back through the gateway, once per reference",
    PaymentConfiguration, {
        /// The invoice's number.
        invoice: String = "INV-000123".to_owned(),
        /// How much, tax included.
        amount: Money = money(),
        /// The asker's own name for this refund; a second task with it does nothing.
        reference: String = "ticket-4711".to_owned(),
        /// Why.
        reason: String = "goodwill".to_owned(),
    }
}

payload! {
    /// Asks for the PDF of an invoice or credit note, and for its mail.
    SendInvoice, "billing/send_invoice",
    "Makes the PDF of an invoice or credit note, once, and mails it",
    NoConfiguration, {
        /// The document's number.
        number: String = "INV-000123".to_owned(),
    }
}

payload! {
    /// Tells what the gateway kept of an invoice's payment.
    RecordFee, "billing/record_fee",
    "Books what the gateway kept of a payment",
    NoConfiguration, {
        /// The invoice's number.
        invoice: String = "INV-000123".to_owned(),
        /// How much was kept.
        amount: Money = money(),
        /// The statement's name of the fee; a second task with it does nothing.
        reference: String = "txn_4711".to_owned(),
        /// When it was kept.
        charged_at: Timestamp = Timestamp::EPOCH,
    }
}

payload! {
    /// Asks for what an invoice still asks for to be given up, or a part of it.
    WriteOffInvoice, "billing/write_off_invoice",
    "Gives up what a customer owes; the invoice stays as it is",
    NoConfiguration, {
        /// The invoice's number.
        invoice: String = "INV-000123".to_owned(),
        /// How much, tax included.
        amount: Money = money(),
        /// The asker's own name for this; a second task with it does nothing.
        reference: String = "ticket-4711".to_owned(),
        /// Why.
        reason: String = "insolvent".to_owned(),
    }
}

payload! {
    /// Tells that an invoice was paid outside the gateway.
    RecordPayment, "billing/record_payment",
    "Books a payment that arrived outside the gateway and settles its invoice",
    NoConfiguration, {
        /// The invoice's number.
        invoice: String = "INV-000123".to_owned(),
        /// How much arrived.
        amount: Money = money(),
        /// The bank's name of the payment; a second task with it does nothing.
        reference: String = "statement 2026-11-05/17".to_owned(),
        /// When it arrived.
        received_at: Timestamp = Timestamp::EPOCH,
    }
}

payload! {
    /// Asks for a kept event of the gateway to be applied.
    ApplyGatewayEvent, "billing/apply_gateway_event",
    "Applies a later result of the payment gateway, once per event",
    PaymentConfiguration, {
        /// The event's id, as kept in the inbox.
        event_id: String = "evt_1".to_owned(),
    }
}

fn account() -> AccountId {
    AccountId::new(Timestamp::EPOCH, [1; 10])
}

fn month() -> Month {
    Month::new(2026, 10).expect("a month of the calendar")
}

fn money() -> Money {
    Money { minor: 10_000, currency: Currency::USD }
}
