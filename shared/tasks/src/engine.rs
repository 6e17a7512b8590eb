//! What every engine does the same way: all but the SQL that differs.

mod conservation;
mod fate;
mod final_write;
mod quota;
mod summary;

pub(crate) use conservation::{Dialect, read_conservation, remake_rows};
pub(crate) use fate::{Fate, lost};
pub(crate) use final_write::{concerns_everyone, run_write};
pub(crate) use quota::{Asked, Asks};
pub(crate) use summary::{JOINS, MAX_LIST, SUMMARY, driving_tables, summary};
