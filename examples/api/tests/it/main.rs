//! The example, asked over HTTP on a free port.

#[cfg(test)]
mod orders;
#[cfg(test)]
mod server;
