//! TLS for any program: sessions, and private keys that the process with the network does not have.
//!
//! Read in this order: `session` is TLS without any input or output; `carry` gives its bytes to a connection and to a
//! program. `vault` starts the key process, which is `keys`, and asks it (`message`) for certificates and signatures;
//! `material`, `unlock` and `pem` read the files there, and `tickets` are made with it. `chooser` finds the certificate for a name, and `admission` says
//! on what terms clients are met. [`server`] is tlsserver,
//! [`single`] tlsd, [`client`] tlsclient and tlsc; `between` is for who carries bytes himself. This room alone knows rustls.
#![forbid(unsafe_code)]

mod admission;
mod beside;
pub(crate) mod between;
pub(crate) mod carry;
mod chooser;
pub mod client;
pub mod der;
pub(crate) mod facts;
mod keys;
pub mod material;
mod message;
pub mod options;
mod pem;
pub mod server;
pub(crate) mod session;
pub mod single;
#[cfg(test)]
mod tests;
mod tickets;
pub mod unlock;
mod vault;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The cryptography under rustls. docs/decisions.md has what decided it.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
