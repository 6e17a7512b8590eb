//! The program as a whole, through its front doors.

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tree;
