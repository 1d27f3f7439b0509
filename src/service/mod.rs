//! A listening process that serves connections until it is told to stop: what is common to all servers of the suite.
//!
//! Read in this order: `inherit` is what was there before us, `start` what comes before the first connection; `listener` takes connections out of the queue;
//! `serve` gives each a task of its own, `slots` counts them, and `room` keeps memory for them; `end` is how it ends. What happens to a connection is the
//! caller's: one async function of an `Arrival`. This room knows no rule, no name, no program, and none of the bytes of a
//! connection.
#![forbid(unsafe_code)]

mod arrival;
pub mod control;
mod descriptors;
mod end;
mod inherit;
mod list;
mod listener;
mod listening;
mod pace;
mod pack;
mod penalty;
mod prefix;
mod rate;
mod room;
mod serve;
mod signals;
mod slots;
mod sources;
mod start;
mod supervisor;
mod tally;
mod upgrade;

pub(crate) use arrival::{Arrival, Undecided};
pub(crate) use descriptors::make_room;
pub use end::Drain;
pub(crate) use end::{Stage, Stages};
pub(crate) use inherit::Given;
pub(crate) use list::{List, Listed, Row};
pub(crate) use listener::{Listener, Manner, Place};
pub use listening::{Listening, Privileges};
pub(crate) use pack::{Packer, Unpacker};
pub(crate) use penalty::End;
pub use penalty::{Penalties, Penalty};
pub use prefix::{Lengths, Networks};
pub use rate::Rate;
pub(crate) use room::{Appetite, Room};
pub use serve::Overload;
pub(crate) use serve::{Open, Service, Terms};
pub(crate) use signals::Signals;
pub(crate) use slots::{Slot, Tasks};
pub use sources::Terms as SourceTerms;
pub(crate) use sources::{Allowance, Entered, Sources};
pub(crate) use start::Start;
pub(crate) use supervisor::Supervisor;
pub(crate) use tally::{ByReason, Reason, Tally};
pub use upgrade::UPGRADE;
pub(crate) use upgrade::{State, Successor, is_next, own_file};
