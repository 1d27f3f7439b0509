//! A network of a test's own, with a scripted name server in it: shared with `tests/names.rs`.
#![allow(
    dead_code,
    reason = "each test binary uses its own part of what they share"
)]

#[path = "../names/nameserver.rs"]
pub(crate) mod nameserver;
#[path = "../names/packet.rs"]
pub(crate) mod packet;
#[path = "../names/world.rs"]
pub(crate) mod world;
#[path = "../names/zone.rs"]
pub(crate) mod zone;
