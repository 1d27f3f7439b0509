//! TLS: tlsserver, tlsd, tlsclient, tlsc, https@ and tcprelay, beside OpenSSL's programs, rustls as a client, and peers that do wrong.
//!
//! Certificates are made once, by openssl(1). Nothing is timed; what has to happen in time has its time set by an option.
#![allow(
    clippy::disallowed_methods,
    reason = "a test of programs must start them"
)]

mod certificates;
mod clients;
mod delayed;
mod ends;
mod examples;
mod hostile;
mod keys;
mod peers;
mod relay_files;
mod relays;
mod remotes;
mod servers;
mod world;

#[path = "../support/mod.rs"]
mod support;
