//! The one program that does all background work of a live-streaming company.
//!
//! This crate puts the parts together: settings, keys, manifest and registry become an
//! [`app::App`]; [`work`] runs tasks; [`cli`] is the command line. It holds no job logic and no
//! admission rules.

mod accounts;
pub mod app;
pub mod bench;
pub mod cli;
pub mod clock;
pub mod configuration;
pub mod demo;
pub mod home;
pub mod keys;
pub mod settings;
pub mod storage;
pub mod title;
pub mod work;
mod writable;
