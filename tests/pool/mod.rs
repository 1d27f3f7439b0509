//! tcppool and iotcpd with real workers: whose answer is whose, who waits and how long, how workers end and begin, what is
//! counted. The names are the specification; docs/decisions.md says why it is so.
//!
//! No test asserts how long anything takes.

mod dirty;
mod ends;
mod examples;
mod faults;
mod frames;
mod house;
mod iotcpd;
mod options;
mod queue;
mod upgrade;
mod workers;
