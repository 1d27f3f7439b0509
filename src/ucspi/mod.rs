//! The contract between the network and a program: the connection on two descriptors, its facts in the environment.
//!
//! A server reads in this order: [`server`] is what is set up once, and [`entrance`] as much of that as other servers have
//! too; `connection` is what happens to one connection, of
//! which [`gate`] has what comes before the verdict; `children` makes the processes and learns how they ended; `record` is
//! what is known of a connection, and `log` says it; `upgrade` is how the next version comes, and `handover` what it gets.
//! Source: tcpserver(1) and tcpclient(1) of the original, and observed
//! runs. This room asks the rules for a verdict and knows nothing of how they are stored.
#![forbid(unsafe_code)]

pub mod account;

pub(crate) mod children;
pub mod client;
pub(crate) mod connect;
mod connection;
pub mod entrance;
pub mod environ;
pub(crate) mod facts;
pub mod gate;
mod handover;
pub mod host;
pub mod ident;
pub(crate) mod layer;
mod limits;
pub(crate) mod log;
mod moved;
pub mod names;
pub mod port;
pub mod proxy;
pub(crate) mod record;
pub mod server;
mod sum;
mod tree;
pub(crate) mod upgrade;
