//! The ucspi-tcp suite: TCP clients and servers from any program that reads stdin and writes stdout.
//!
//! The map, one line per room; imports run from the top down and never up.

pub mod cli;
pub mod dns;
pub mod filter;
pub mod rules;
pub mod sys;
pub mod ucspi;
