//! Behind a balancer, and across an upgrade: the true client, whatever stands between.

mod haproxy;
mod proxy;
