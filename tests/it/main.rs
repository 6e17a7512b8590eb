//! The program as a whole, through its front doors.

#[cfg(test)]
mod tree;
