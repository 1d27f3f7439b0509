//! Connections carried to one of several remotes: tcprelay.
//!
//! Read in this order: `plan` is what is asked for, on the command [`mod@line`] or in a file ([`filed`], in the grammar of
//! [`config`]); [`server`] is what is set up once, and what signals do; `connection` is what happens to one connection until
//! a carrier has it. `remotes` are where sessions go: how they are `written`, what is counted of them as `targets`, by which
//! `balance` one is chosen, and how they are `check`ed. `carriers` are the loops that `carry` the bytes, on all threads.
//! `retire` replaces the process, for an upgrade after a `trial`. [`words`] are command lines for a file.
//!
//! Source: the manual of event-driven-servers' tcprelay and observed runs of it; what differs is in docs/differences.md. What
//! is left out: MAVIS.
#![forbid(unsafe_code)]

mod balance;
mod carriers;
mod carry;
mod check;
pub mod config;
mod connection;
mod daemon;
pub mod filed;
mod include;
pub mod line;
mod log;
mod names;
mod plan;
mod remotes;
mod retire;
pub mod server;
pub mod source;
mod targets;
pub mod tls;
mod trial;
pub mod words;
mod written;
