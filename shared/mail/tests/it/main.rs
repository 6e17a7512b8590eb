//! Mails from message to mailbox: words, looks, MIME and delivery.

mod delivery;
mod faults;
mod folder;
mod html;
mod overrides;
mod support;
mod words;
