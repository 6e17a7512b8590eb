//! Plans, limits, bills, settlements and throttles of a live-streaming company.
//!
//! Pure: values in, decisions out. The caller reads what is known, asks here what follows, and
//! writes that in one transaction. Money is whole minor units, months are half-open UTC intervals,
//! and no floating-point number occurs.
//!
//! ```
//! use billing::{AccountPlans, BasisPoints, BillFacts, Catalogue, Usage, bill_of_month, format};
//! use values::Currency;
//!
//! let catalogue = Catalogue::built_in();
//! let plans = AccountPlans { broadcast: vec!["basic".into(), "pro".into()], peer: vec![] };
//! let holding = catalogue.hold("cine.io", &plans, "2015-01".parse()?)?;
//! let bill = bill_of_month(&BillFacts {
//!     created_at: "2015-01-15T10:00:00Z".parse()?,
//!     holding: &holding,
//!     usage: Usage { bandwidth_bytes: 858_993_459, ..Usage::default() },
//!     currency: Currency::USD,
//!     tax: BasisPoints::ZERO,
//!     carried: &[],
//!     credit_minor: 0,
//! })?;
//! assert!(bill.prorated); // 17 of 31 days, rounded down
//! assert_eq!(format::money(bill.total), "$329.03");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bill;
mod brakes;
mod error;
pub mod format;
mod keys;
mod ledger;
mod limits;
mod plans;
mod settle;
mod storage;
mod tax;
mod throttle;
mod usage;

pub use bill::{Bill, BillFacts, Carried, Due, LineItem, LineKind, bill_of_month};
pub use brakes::{Brakes, Release, Total, Totals};
pub use error::BillingError;
pub use keys::{ChargeKey, throttle_key, upgrade_key, warning_key};
pub use ledger::{Balances, Entry, InvoiceBalance, LedgerAccount, LedgerEvent, Posting, Split};
pub use limits::{Action, LimitDecision, LimitFacts, LimitReason, check_limits};
pub use plans::{
    AccountPlans, BilledBy, Catalogue, Holding, MAX_PLANS_HELD, Plan, PlanChange, Provider,
    Streams, plans_at_end,
};
pub use settle::{
    Answered, Charge, Consequence, GRACE, GatewayAnswer, KEY_LIFETIME, MAX_REFUSALS, Manner,
    Notice, OpenMonth, Reason, Record, RecordState, Standing, Step, Trigger, agreed_months,
    closes_at, months_to_offer, next_retry, retry_times, settle_month,
};
pub use storage::{StoredRecording, bytes_stored_now, stored_bytes};
pub use tax::{BasisPoints, TaxRates, country_name};
pub use throttle::{
    Publication, PublishAnswer, Throttle, ThrottlePeriod, ThrottledReason, publish_check,
    throttled_throughout,
};
pub use usage::{Limits, Metered, Metric, Product, Usage};
pub use values::UnknownWord;
