//! The programs with the company that they keep in real life: git, rsync, curl, daemontools, and the original's
//! tcprules; and what a tracer and `/proc` see of them.
//!
//! Where a needed program is missing, the test says on stderr that it is skipped, and passes. With
//! `UCSPI_COMPONENTS_REQUIRED=1`, which CI sets, it fails. All traffic is on the loopback interface, all ports are free
//! ones, every wait has a deadline.

mod binaries;
mod daemontools;
mod files;
pub(crate) mod git;
mod load;
mod many_rules;
mod supervisors;
mod trace;
