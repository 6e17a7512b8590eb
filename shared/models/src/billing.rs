//! Money: what a month cost, how it was paid, and the books.
//!
//! One record per account and month is frozen at the first attempt to settle it; its payment
//! attempts, its invoice and the ledger's entries hang below. Writes that belong together take one
//! [`database::Tx`]; [`crate::accounts::lock`] keeps two workers from settling one account at once.

mod books;
mod customer;
mod events;
mod expiring;
mod file;
mod invoice;
mod month;
mod open;
mod record;
mod refund;
mod run;
mod schema;
mod settled;
mod usage;

pub use books::{About, BookLine, balances, entries_of_month, post, posted, unbalanced};
pub use customer::{
    BillingDetails, PaymentCard, PaymentCustomer, card, countries, currencies, details,
    owner_of_card, owner_of_customer, primary_card, set_card, set_customer, set_details,
};
pub use events::{GatewayEvent, applied, event, keep_event};
pub use expiring::{ExpiringCard, accounts_that_owe, expiring_cards};
pub use file::{file, keep_file};
pub use invoice::{
    Document, DocumentKind, Issue, by_number, credit_of, documents_of_month, issue, of_month,
    open_invoices, spend_credit, store_balance,
};
pub use month::{MonthFacts, month_charged, month_facts};
pub use open::{billable, open_records};
pub use record::{
    Attempt, BillingRecord, accepted_attempt, attempt, attempt_by_card, begin_attempt,
    carried_into, carried_over, end_attempt, insert_record, others_failed, record, records,
    records_of_month, update_record,
};
pub use refund::{
    PaymentRefund, begin_refund, document_of_event, end_refund, name_document, refund,
    refunds_under_way,
};
pub use run::{
    BillingRun, approval, approve, charges_stopped, hold_run, release_run, released_between, run,
    stop_charges,
};
pub(crate) use schema::TABLES;
pub use settled::{SettledTotal, settled_of_month};
pub use usage::{Figures, LateUsage, current_usage, freeze, frozen_usage, late_usage};
