//! What is written holds: manual pages, README, completions, the lists of programs, and the table of rooms and crates.

mod contributing;
mod layout;
#[path = "../man/mod.rs"]
mod man;
mod programs;
mod readme;
#[path = "../support/mod.rs"]
mod support;
