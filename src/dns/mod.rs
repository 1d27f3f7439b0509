//! What is this name or address called?
//!
//! `qualify` turns an operand into names, `config` says whom to ask, `query` asks one question, [`Resolver`] remembers
//! answers and asks each question once. The packets are built and read by hickory-proto; why not by more of hickory is
//! told in docs/decisions.md. Source: the original's manual pages and observed runs, RFC 1035.
//!
//! This room does not know who asks or why. It leaves out DNSSEC, EDNS and every name service but DNS and `/etc/hosts`.
#![forbid(unsafe_code)]

mod config;
#[doc(hidden)]
pub mod foreign;
mod hosts;
pub mod literal;
mod name;
mod qualify;
mod query;
mod resolver;

pub use resolver::{Families, Resolver};
