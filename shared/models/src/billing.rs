//! Money: what a month cost, how it was paid, and the books.
//!
//! One record per account and month is frozen at the first attempt to settle it; its payment
//! attempts, its invoice and the ledger's entries hang below. Writes that belong together take one
//! [`Tx`]; [`lock_account`] keeps two workers from settling one account at once.

mod books;
mod customer;
mod events;
mod expiring;
mod file;
mod invoice;
mod open;
mod record;
mod refund;
mod run;
mod schema;
mod settled;
mod usage;

use database::{DbError, Query, Tx};
use values::AccountId;

pub use books::{About, BookLine, balances, entries_of_month, post, unbalanced};
pub use customer::{
    BillingDetails, PaymentCard, PaymentCustomer, card, currencies, details, primary_card,
    set_card, set_customer, set_details,
};
pub use events::{GatewayEvent, applied, event, keep_event};
pub use expiring::{ExpiringCard, expiring_cards};
pub use file::{file, keep_file};
pub use invoice::{
    Document, DocumentKind, Issue, by_number, credit_of, documents_of_month, issue, of_month,
    open_invoices, spend_credit, store_balance,
};
pub use open::{billable, open_records};
pub use record::{
    Attempt, BillingRecord, accepted_attempt, attempt, begin_attempt, carried_into, carried_over,
    end_attempt, insert_record, others_failed, record, records, records_of_month, update_record,
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
pub use usage::{LateUsage, current_usage, freeze, frozen_usage, late_usage};

/// Keeps every other transaction from settling the account until this one ends.
///
/// Returns whether there is such an account.
pub async fn lock_account(tx: &mut Tx<'_>, account: AccountId) -> Result<bool, DbError> {
    let query = Query::new("UPDATE account SET updated_at = updated_at WHERE id = $1");
    Ok(tx.execute(query.bind(account)).await? == 1)
}
