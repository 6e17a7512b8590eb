//! Money: months are closed, charged once, and corrected by hand.

mod apply_gateway_event;
mod asked;
mod close_month;
mod collect_open_months;
mod facts;
mod gateway;
mod invoice_account;
mod issue_credit_note;
mod needs;
mod notices;
mod preview;
mod printed;
mod record_fee;
mod record_payment;
mod refund_payment;
mod send_invoice;
mod settings;
mod settlement;
mod waive_month;
mod write_off_invoice;

pub(crate) use apply_gateway_event::ApplyGatewayEvent;
pub(crate) use close_month::CloseMonth;
pub(crate) use collect_open_months::CollectOpenMonths;
pub use gateway::open_gateway;
pub(crate) use invoice_account::InvoiceAccount;
pub(crate) use issue_credit_note::IssueCreditNote;
pub use needs::billing_needs;
pub use preview::{Preview, PreviewRow, catalogue, no_run, preview_month};
pub(crate) use record_fee::RecordFee;
pub(crate) use record_payment::RecordPayment;
pub(crate) use refund_payment::RefundPayment;
pub(crate) use send_invoice::SendInvoice;
pub(crate) use waive_month::WaiveMonth;
pub(crate) use write_off_invoice::WriteOffInvoice;

/// The reason of a record whose invoice a customer pays without the gateway.
const BY_HAND: &str = "by_hand";
