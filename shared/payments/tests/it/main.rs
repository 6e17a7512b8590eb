//! The Stripe adapter against a gateway that really answers, and fails, over HTTP.

mod contract;
mod faults;
mod harness;
mod keys;
mod localstripe;
mod lookup;
mod rate;
mod verify;
mod webhooks;
