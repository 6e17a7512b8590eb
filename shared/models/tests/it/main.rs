//! Tests of the tables on a real database file each.

#[cfg(test)]
mod laws;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod roll_up;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod transfer;
