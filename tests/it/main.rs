//! The program as a whole, through its front doors.

#[cfg(test)]
mod api;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod site;
#[cfg(test)]
mod tree;
#[cfg(test)]
mod work_health;
#[cfg(test)]
mod work_outcomes;
#[cfg(test)]
mod work_signals;
