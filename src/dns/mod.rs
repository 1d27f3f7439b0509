//! What is this name or address called?
//!
//! `qualify` turns an operand into names, `config` says whom to ask, `packet` writes a question and reads an answer, `query`
//! asks one question, `memory` keeps what was answered, and [`Resolver`] asks each question once. Why packets are read
//! here and not by a crate is told in docs/decisions.md. Source: the original's manual pages and observed runs, RFC 1035.
//!
//! This room does not know who asks or why. It leaves out DNSSEC, EDNS and every name service but DNS and `/etc/hosts`.
#![forbid(unsafe_code)]

#[cfg(test)]
mod beside_hickory;
mod config;
#[doc(hidden)]
pub mod foreign;
mod hosts;
pub mod literal;
mod memory;
mod name;
mod packet;
mod qualify;
mod query;
mod resolver;

pub use resolver::{Families, Resolver};
