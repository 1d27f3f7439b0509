//! The contract between the network and a program: the connection on two descriptors, its facts in the environment.
//!
//! A server reads in this order: [`server`] binds and gives up privileges; `service` accepts; `connection` is what happens
//! to one connection; `children` makes the processes and learns how they ended. Source: tcpserver(1) and tcpclient(1) of the
//! original, and observed runs. This room asks the rules for a verdict and knows nothing of how they are stored.
#![forbid(unsafe_code)]

pub mod account;

mod children;
pub mod client;
pub mod clocks;
mod connect;
mod connection;
pub mod environ;
mod facts;
mod host;
pub mod ident;
mod listener;
mod log;
pub mod names;
pub mod port;
pub mod server;
mod service;
mod slots;
