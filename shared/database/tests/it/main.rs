//! Both engines for real: what they share, and how PostgreSQL fails.

#[cfg(test)]
mod deferred;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod listening;
#[cfg(test)]
mod migrations;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod pooler;
#[cfg(test)]
mod socket;
#[cfg(test)]
mod support;
#[cfg(test)]
mod transactions;
#[cfg(test)]
mod values;
