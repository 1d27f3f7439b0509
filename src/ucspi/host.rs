//! The host operand: an address or a name, with the original's words for what can go wrong.
//!
//! IPv6 addresses may stand in brackets and may name an interface: `[fe80::1%eth0]`.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use super::port;
use crate::cli::{During, Error, Opt, reason};
use crate::dns::{Families, Resolver, literal};
use crate::service::Place;
use crate::sys::socket;

/// The original's words for EAFNOSUPPORT, said of a family that the command line rules out.
pub(super) const WRONG_FAMILY: &str = "address family not supported";

/// How addresses are to be understood, and shown.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// `-4`: IPv6 does not exist.
    pub ipv4_only: bool,
    /// `-6`: IPv4 connections are shown as IPv6.
    pub as_ipv6: bool,
    /// `-I`: the interface of link-local addresses.
    pub interface: Option<Vec<u8>>,
}

impl Reading {
    /// The options for it.
    pub const OPTIONS: &'static [Opt<Self>] = &[
        Opt::flag("4", "use IPv4 only", |reading| reading.ipv4_only = true),
        Opt::flag(
            "6",
            "show IPv4 connections as IPv6: PROTO=TCP6, ::ffff:1.2.3.4",
            |reading| reading.as_ipv6 = true,
        ),
        Opt::value(
            "I",
            "interface",
            "use this interface for link-local addresses",
            |reading, value| {
                reading.interface = Some(value.bytes());
                Ok(())
            },
        ),
    ];

    /// Where the operand `host` says to listen: `0` and nothing are any IPv4 address, `:0` any address of both
    /// families, `::` any IPv6 address, and IPv4 too unless the system's default (net.ipv6.bindv6only) says otherwise.
    /// Of a name's addresses one is taken, an IPv4 address if there is one.
    ///
    /// # Errors
    /// 111: no address, or that could not be found out now; an IPv6 address under `-4`.
    pub(crate) async fn place(
        &self,
        host: &[u8],
        port: u16,
        resolver: &Resolver,
    ) -> Result<Place, Error> {
        let operand = match host {
            b"" | b"0" => b"0.0.0.0",
            b":0" | b"::" if self.ipv4_only => b"0.0.0.0",
            b":0" => return Ok(Place::Anywhere(port)),
            operand => operand,
        };
        // At least one.
        let mut address = self.addresses(operand, host, resolver).await?[0];
        if !self.can_use(address) {
            return Err(Error::fatal(["unable to bind: ", WRONG_FAMILY].concat()));
        }
        address.set_port(port);
        Ok(Place::Address(address))
    }

    /// The same for `host` and `port`, and then for each `also`, which is written `HOST:PORT`.
    ///
    /// # Errors
    /// As [`Self::place`]; 100: it is written otherwise.
    pub(crate) async fn places(
        &self,
        host: &[u8],
        port: u16,
        also: &[Vec<u8>],
        resolver: &Resolver,
    ) -> Result<Vec<Place>, Error> {
        let also = also.iter().map(|text| split(text));
        let also = also.collect::<Result<Vec<_>, _>>()?;
        let mut places = vec![self.place(host, port, resolver).await?];
        for (host, port) in also {
            places.push(self.place(host, port, resolver).await?);
        }
        Ok(places)
    }

    /// The addresses of `operand`, which is called `shown` in messages: at least one, IPv4 first, those of each family
    /// in random order. Their port is 0. An IPv6 address that the operand spells is given under `-4`, too: see `can_use`.
    ///
    /// # Errors
    /// 111: it has none, or that could not be found out now; an interface does not exist.
    pub(crate) async fn addresses(
        &self,
        operand: &[u8],
        shown: &[u8],
        resolver: &Resolver,
    ) -> Result<Vec<SocketAddr>, Error> {
        if let Some(found) = self.spelled(operand, shown, resolver)? {
            return Ok(found);
        }
        let families = if self.ipv4_only {
            Families::V4
        } else {
            Families::Both
        };
        let found = resolver.host(operand, families).await;
        let found = found.map_err(|error| not_now(shown, &error))?;
        if found.is_empty() {
            return Err(Error::fatal([b"no IP address for ", shown].concat()));
        }
        self.scoped(found)
    }

    /// As [`addresses`](Self::addresses), without waiting, where the operand spells them; `None` where they have to be
    /// looked up.
    ///
    /// # Errors
    /// As those of `addresses`.
    pub(crate) fn spelled(
        &self,
        operand: &[u8],
        shown: &[u8],
        resolver: &Resolver,
    ) -> Result<Option<Vec<SocketAddr>>, Error> {
        if let Some((address, zone)) = literal::ipv6(operand) {
            let scope = scope(zone.or(self.interface.as_deref()))?;
            return Ok(Some(vec![scoped(address.into(), scope)]));
        }
        let found = resolver.spelled(operand);
        let found = found.map_err(|error| not_now(shown, &error))?;
        found.map(|found| self.scoped(found)).transpose()
    }

    /// `addresses` with the interface that was given.
    fn scoped(&self, addresses: Vec<IpAddr>) -> Result<Vec<SocketAddr>, Error> {
        let scope = scope(self.interface.as_deref())?;
        let scoped = |ip| scoped(ip, scope);
        Ok(addresses.into_iter().map(scoped).collect())
    }

    /// False for an IPv6 address under `-4`.
    pub(super) fn can_use(&self, address: SocketAddr) -> bool {
        address.is_ipv4() || !self.ipv4_only
    }

    /// The local address `ip` to connect from, with the interface that was given.
    ///
    /// # Errors
    /// 111: the interface does not exist.
    pub(super) fn local(&self, ip: IpAddr, port: u16) -> Result<SocketAddr, Error> {
        let mut address = scoped(ip, scope(self.interface.as_deref())?);
        address.set_port(port);
        Ok(address)
    }
}

/// What is said when the addresses of what is called `shown` cannot be found out now.
fn not_now(shown: &[u8], error: &io::Error) -> Error {
    let text = [
        b"temporarily unable to figure out IP address for ",
        shown,
        b": ",
    ];
    Error::fatal([&text.concat(), reason(error).as_bytes()].concat())
}

/// `HOST:PORT`; an IPv6 address may stand in brackets.
///
/// # Errors
/// 100: it is none.
pub(crate) fn split(text: &[u8]) -> Result<(&[u8], u16), Error> {
    let wrong = || Error::operand([b"option --also needs host:port, not \"", text, b"\""].concat());
    let colon = text.iter().rposition(|&byte| byte == b':');
    let (host, port) = text.split_at(colon.ok_or_else(wrong)?);
    Ok((host, port::port(&port[1..])?))
}

/// The number of the interface called `name`; 0 for none.
fn scope(name: Option<&[u8]>) -> Result<u32, Error> {
    let Some(name) = name else { return Ok(0) };
    socket::interface_number(name).during([b"find interface ", name].concat())
}

/// `ip` as an address that sockets take: a mapped one is IPv4, and only a link-local one has a scope.
fn scoped(ip: IpAddr, scope: u32) -> SocketAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, 0)),
        IpAddr::V6(ip) => {
            let scope = if ip.is_unicast_link_local() { scope } else { 0 };
            SocketAddrV6::new(ip, 0, 0, scope).into()
        }
    }
}
