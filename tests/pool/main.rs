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
mod workers;

#[allow(
    dead_code,
    reason = "the faults are those of tests/faults, which looks at more of a trace"
)]
#[path = "../faults/fault.rs"]
mod fault;
#[path = "../support/mod.rs"]
mod support;
#[allow(
    dead_code,
    unused_imports,
    reason = "the world is that of the components, of which each test uses its own part"
)]
#[path = "../components/world.rs"]
mod world;
