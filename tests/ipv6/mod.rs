//! IPv6: the programs compared with ucspi-tcp-ipv6, the rules for IPv6 and prefixes, and two networks joined by a wire.
//!
//! The scenarios of `patch` run on ours and, where `UCSPI_ORACLE_DIR` says that it is, live on ucspi-tcp-ipv6; those of
//! `ours` and `asked` are about what no original can do, and run on ours alone. Both are compared with `tests/ipv6/golden`.

mod asked;
mod networks;
mod ours;
mod patch;

use std::net::{IpAddr, SocketAddr, TcpStream};

pub(crate) use networks::trials;

use crate::support::deadline;
use crate::support::play::Family;
use crate::support::scene::Scene;
use crate::support::server::Peer;

/// The scenarios, with their records.
pub(crate) fn family() -> Family {
    let mut ours = ours::all();
    ours.extend(asked::all());
    for scenario in &mut ours {
        scenario.is_ours_alone = true;
    }
    Family {
        scenarios: patch::all().into_iter().chain(ours).collect(),
        package: "ucspi-tcp-ipv6",
        records: "tests/ipv6/golden",
    }
}

/// Connects to `port` of `ip`; the connection is called client `number`, and its port CPORT`number`.
fn connect(s: &mut Scene, ip: &str, port: u16, number: usize) -> Peer {
    let ip: IpAddr = ip.parse().expect("an address");
    let stream = TcpStream::connect_timeout(&SocketAddr::new(ip, port), deadline())
        .expect("the server listens");
    stream
        .set_read_timeout(Some(deadline()))
        .expect("the deadline is not zero");
    let from = stream.local_addr().expect("a connected socket has a name");
    s.name_port(from.port(), &format!("CPORT{number}"));
    let label = format!("client {number}");
    s.note(&format!("{label} connects to {ip}"));
    s.peer(stream, &label)
}
