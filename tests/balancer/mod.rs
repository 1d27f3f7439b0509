//! Behind a balancer, and across an upgrade: the true client, whatever stands between.

pub(crate) mod crowd;
mod examples;
mod given;
mod haproxy;
mod proxy;
pub(crate) mod upgrade;
