//! Tests of the tables on real databases of both engines, one each.

#[cfg(test)]
mod at_once;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod roll_up;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod transfer;
