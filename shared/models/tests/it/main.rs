//! Tests of the tables on a real database file each.

mod laws;
mod ledger;
mod roll_up;
mod support;
mod tables;
mod transfer;
