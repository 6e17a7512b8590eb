//! Promises of [`tasks::TaskStore`], by what they are about.

pub(crate) mod attempts;
pub(crate) mod conservation;
pub(crate) mod crowd;
pub(crate) mod enqueueing;
pub(crate) mod held;
pub(crate) mod leasing;
pub(crate) mod limits;
pub(crate) mod operators;
pub(crate) mod outcomes;
pub(crate) mod quotas;
pub(crate) mod reading;
pub(crate) mod retention;
pub(crate) mod settling;
pub(crate) mod unique_keys;
pub(crate) mod waiting;
