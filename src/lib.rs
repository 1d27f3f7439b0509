//! The ucspi-tcp suite: TCP clients and servers from any program that reads stdin and writes stdout.
//!
//! The map, one line per room; imports run from the top down and never up (`tests/documents/layout.rs`):
//!
//! * [`clients`]: programs that ask a server and show its answer: who@, http@, time@, mconnect
//! * [`filter`]: programs that watch or change bytes: recordio, fixcrio, addcr, delcr
//! * [`smtp`]: mail that nobody wants: rblsmtpd
//! * [`ucspi`]: the contract: listening, a connection's life, children, connecting, ident
//! * [`service`]: a listening process: accepting, slots, the end
//! * [`rules`]: what does the administrator say about this peer?
//! * [`dns`]: what is this name or address called?
//! * [`cli`]: options, messages, exit codes
//! * [`sys`]: system calls, the only room with `unsafe`

pub mod cli;
pub mod clients;
pub mod dns;
pub mod filter;
pub mod rules;
pub mod service;
pub mod smtp;
pub mod sys;
pub mod ucspi;
