//! Nothing lost, nobody let in: system calls that fail, programs that are killed, peers that flood, children that
//! misbehave, privileges that must go. docs/security.md says which promise each of these tests holds. With them the
//! company that the programs keep in real life: `components`.
//!
//! Faults are injected by strace(1) into the real calls. In `cargo test` a representative part of the matrix runs;
//! `ci/faults` runs all of it and counts. Where strace is missing or may not trace, a test says so and passes, unless
//! `UCSPI_COMPONENTS_REQUIRED=1`. All traffic is on a loopback interface, of a network of the test's own where it needs
//! ports that are spoken for; no test asserts how long anything takes.

mod child;
mod children;
mod client;
mod control;
mod crowd;
mod drain;
mod fault;
mod filters;
mod floods;
mod journal;
mod lifetime;
mod limits;
mod log;
mod matrix;
mod memory;
mod network;
mod privilege;
mod relay;
mod restarts;
mod rules;
mod server;
mod service;
mod soak;
mod start;

#[path = "../balancer/mod.rs"]
mod balancer;
#[path = "../components/mod.rs"]
mod components;
#[path = "../pool/mod.rs"]
mod pool;
#[path = "../support/mod.rs"]
mod support;
#[path = "../components/world.rs"]
mod world;
