//! A job on its workbench, and a program that asks for it.

#[cfg(test)]
mod count_viewers;
#[cfg(test)]
mod helpers;
#[cfg(test)]
mod job_under_test;
