//! The parts of the IPv6 tests, and a client over IPv6.

pub(crate) mod golden;
pub(crate) mod networks;
pub(crate) mod ours;
pub(crate) mod patch;

use std::net::{IpAddr, SocketAddr, TcpStream};

use crate::support::deadline;
use crate::support::scene::Scene;
use crate::support::server::Peer;

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
