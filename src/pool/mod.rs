//! A pool of workers that answer: any program that answers on stdout what it is asked on stdin, as a TCP service.
//!
//! Read in this order: [`server`] is what is set up once; `connection` is what happens to one connection, `client` our end
//! of it, `session` the conversation as data; `queue` decides which worker gets which query, and `crew` does what it decides;
//! `worker` is one worker, `talk` what it and a connection have in common; `frame` finds where queries and replies end, `ready`
//! where a worker has become ready; `upgrade` is what the next version takes over. Source: iotcpd 1.1, observed, and what squid
//! expects of its helpers. This room knows no rule and no name: whom it serves, the gate has decided.
#![forbid(unsafe_code)]

mod client;
mod connection;
mod crew;
mod errors;
pub mod frame;
pub mod options;
mod queue;
mod ready;
pub mod reports;
pub mod server;
mod session;
mod statistics;
mod talk;
mod upgrade;
mod worker;
