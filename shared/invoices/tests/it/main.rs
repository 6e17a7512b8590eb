//! Documents as their readers get them: looked at with the tools of poppler.

mod figures;
mod hostile;
mod pages;
mod reader;
mod refusals;
mod texts;
