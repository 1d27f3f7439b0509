//! tcprelay with real clients and real remotes.
//!
//! The remotes are threads of the test, and real programs in `others`. Traffic is on loopback; nothing is timed, and every
//! wait has a deadline.
#![allow(
    clippy::disallowed_methods,
    reason = "a test of programs must start them"
)]

#[path = "relay/balance.rs"]
mod balance;
#[path = "relay/bytes.rs"]
mod bytes;
#[path = "relay/crowd.rs"]
mod crowd;
#[path = "relay/directives.rs"]
mod directives;
#[path = "relay/files.rs"]
mod files;
#[path = "relay/log.rs"]
mod log;
#[path = "relay/names.rs"]
mod names;
#[path = "relay/others.rs"]
mod others;
#[allow(dead_code, reason = "of what is there, one function is used")]
#[path = "support/pidfd.rs"]
mod pidfd;
#[allow(dead_code, reason = "one side is tested here")]
#[path = "support/programs.rs"]
mod programs;
#[path = "relay/rules.rs"]
mod rules;
#[path = "relay/signals.rs"]
mod signals;
#[path = "relay/soak.rs"]
mod soak;
#[path = "relay/streams.rs"]
mod streams;
#[path = "support/temp.rs"]
mod temp;
#[path = "relay/upgrade.rs"]
mod upgrade;
#[path = "relay/world.rs"]
mod world;

/// No wait is longer.
fn deadline() -> std::time::Duration {
    world::PATIENCE
}
