//! A listening process that serves connections until it is told to stop: what is common to all servers of the suite.
//!
//! Read in this order: `start` is what comes before the first connection; `listener` takes connections out of the queue;
//! `serve` gives each a task of its own, `slots` counts them, and `room` keeps memory for them; `end` is how it ends. What happens to a connection is the
//! caller's: one async function of an `Arrival`. This room knows no rule, no name, no program, and none of the bytes of a
//! connection.
#![forbid(unsafe_code)]

mod end;
mod listener;
mod room;
mod serve;
mod signals;
mod slots;
mod start;

pub use end::Drain;
pub(crate) use end::{Stage, Stages};
pub(crate) use listener::Place;
pub(crate) use room::{Appetite, Room};
pub(crate) use serve::{Arrival, Service, Terms};
pub(crate) use signals::Signals;
pub(crate) use start::Start;
pub use start::{Listening, Privileges};
