//! What is known of a connection, as a program sees it. Source: tcp-environ(5) of the originals, and observed runs.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::environ::Changes;
use super::names::Names;
use super::proxy::Announced;
use crate::sys::socket;

/// One end of a connection, as text.
#[derive(Debug)]
pub(crate) struct End {
    /// Dotted, or compressed and lower case (RFC 5952).
    pub(super) ip: String,
    pub(super) port: String,
    /// `None` when the name is not known.
    pub(super) host: Option<Vec<u8>>,
}

/// What is known of a connection.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The program sees an IPv6 connection.
    pub(super) is_ipv6: bool,
    pub(super) local: End,
    pub(super) remote: End,
    /// What the ident server said.
    pub(super) info: Option<Vec<u8>>,
    /// The interface of a link-local connection.
    interface: Option<Vec<u8>>,
    /// What a PROXY header said; there wherever one may come.
    announced: Option<Rc<Announced>>,
    /// IPv4 addresses are shown as IPv6.
    as_ipv6: bool,
}

/// The order in which a program puts the address and the port of an end into the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// tcpserver
    AddressFirst,
    /// tcpclient
    PortFirst,
}

impl Facts {
    /// The facts of the connection between two addresses. With `as_ipv6` an IPv4 connection is shown as IPv6.
    pub(super) fn of(local: SocketAddr, remote: SocketAddr, names: Names, as_ipv6: bool) -> Self {
        let scope = [local, remote].into_iter().find_map(scope);
        let end = |address: SocketAddr, host| End {
            ip: shown(address.ip(), as_ipv6),
            port: address.port().to_string(),
            host,
        };
        Self {
            is_ipv6: as_ipv6 || remote.is_ipv6(),
            local: end(local, names.local_host),
            remote: end(remote, names.remote_host),
            info: names.remote_info,
            interface: scope.map(socket::interface_name),
            announced: None,
            as_ipv6,
        }
    }

    /// With what was `announced`.
    pub(super) fn with(mut self, announced: Option<Rc<Announced>>) -> Self {
        self.announced = announced;
        self
    }

    /// The changes to the environment that tell a program. What is not known, or not meant for this kind of connection,
    /// is removed: a stale value must not pass for one of ours.
    pub(super) fn changes(&self, order: Order) -> Changes {
        let mut changes = Changes::with_room();
        changes.set(&["PROTO"], if self.is_ipv6 { b"TCP6" } else { b"TCP" });
        self.end(&mut changes, "LOCAL", &self.local, order);
        changes.set_if_known(&["TCP6INTERFACE"], self.interface.as_deref());
        self.end(&mut changes, "REMOTE", &self.remote, order);
        self.both(&mut changes, ["REMOTE", "INFO"], self.info.as_deref());
        if let Some(announced) = &self.announced {
            self.announced(&mut changes, announced);
        }
        changes
    }

    fn announced(&self, changes: &mut Changes, announced: &Announced) {
        let proxy = announced.proxy();
        let ip = proxy.map(|proxy| shown(proxy.ip(), self.as_ipv6));
        let port = proxy.map(|proxy| proxy.port().to_string());
        changes.set_if_known(&["TCPPROXYIP"], ip.as_deref().map(str::as_bytes));
        changes.set_if_known(&["TCPPROXYPORT"], port.as_deref().map(str::as_bytes));
        for (name, value) in announced.facts.variables() {
            changes.set_if_known(&[name], value);
        }
    }

    fn end(&self, changes: &mut Changes, side: &str, end: &End, order: Order) {
        let ip = ("IP", end.ip.as_bytes());
        let port = ("PORT", end.port.as_bytes());
        let pair = match order {
            Order::AddressFirst => [ip, port],
            Order::PortFirst => [port, ip],
        };
        for (name, value) in pair {
            self.both(changes, [side, name], Some(value));
        }
        self.both(changes, [side, "HOST"], end.host.as_deref());
    }

    /// `TCPname`, and `TCP6name` on IPv6 connections, for a name in two parts.
    fn both(&self, changes: &mut Changes, [side, name]: [&str; 2], value: Option<&[u8]>) {
        changes.set_if_known(&["TCP", side, name], value);
        changes.set_if_known(&["TCP6", side, name], value.filter(|_| self.is_ipv6));
    }
}

/// The text of `ip`; with `as_ipv6`, that of its mapped form.
pub(crate) fn shown(ip: IpAddr, as_ipv6: bool) -> String {
    match ip {
        IpAddr::V4(ip) if as_ipv6 => ip.to_ipv6_mapped().to_string(),
        ip => ip.to_string(),
    }
}

fn scope(address: SocketAddr) -> Option<u32> {
    match address {
        SocketAddr::V6(address) if address.scope_id() != 0 => Some(address.scope_id()),
        _ => None,
    }
}

/// `address` with IPv4 as IPv4, also where a socket for both families gave it.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}
