//! A name server that knows a few names, on port 53 of an IPv6 address.

use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::world::World;

pub(super) const A: u16 = 1;
const PTR: u16 = 12;
pub(super) const AAAA: u16 = 28;

/// A server, until it goes out of scope.
pub(super) struct NameServer {
    is_over: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<u16>>>,
    thread: Option<JoinHandle<()>>,
}

/// Names with their addresses. Of several names of an address the first is told.
pub(super) type Names = &'static [(&'static str, &'static [&'static str], Told)];

/// What a name is for: its addresses, the reverse of them, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Forward,
    Reverse,
    Both,
}

impl NameServer {
    /// A server at `ip` in the network of the servers.
    pub(super) fn there(world: &World, ip: &str, names: Names) -> Self {
        let ip: Ipv6Addr = ip.parse().expect("an address");
        let socket = world.there(|| UdpSocket::bind((ip, 53)).expect("the network is ours"));
        // So often it looks whether it is over.
        let look = socket.set_read_timeout(Some(Duration::from_millis(50)));
        look.expect("it is not zero");
        let is_over = Arc::new(AtomicBool::new(false));
        let asked = Arc::<Mutex<Vec<u16>>>::default();
        let thread = std::thread::spawn({
            let (is_over, asked) = (Arc::clone(&is_over), Arc::clone(&asked));
            move || serve(&socket, names, &is_over, &asked)
        });
        Self {
            is_over,
            asked,
            thread: Some(thread),
        }
    }

    /// The kinds of all that was asked since this was last called.
    pub(super) fn asked(&self) -> Vec<u16> {
        std::mem::take(&mut self.asked.lock().expect("nobody panics"))
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(socket: &UdpSocket, names: Names, is_over: &AtomicBool, asked: &Mutex<Vec<u16>>) {
    let mut room = [0; 512];
    while !is_over.load(Ordering::SeqCst) {
        if let Ok((length, client)) = socket.recv_from(&mut room)
            && let Some((kind, reply)) = answer(&room[..length], names)
        {
            asked.lock().expect("nobody panics").push(kind);
            // A client that has gone does not mind.
            let _ = socket.send_to(&reply, client);
        }
    }
}

/// The kind of the question in `packet`, and the reply. RFC 1035 section 4.1.
fn answer(packet: &[u8], names: Names) -> Option<(u16, Vec<u8>)> {
    let mut at = 12;
    let mut name = String::new();
    while *packet.get(at)? != 0 {
        let length = usize::from(packet[at]);
        let label = packet.get(at + 1..=at + length)?;
        name.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
        name.push('.');
        at += 1 + length;
    }
    let question = packet.get(12..at + 5)?;
    let kind = u16::from_be_bytes([*packet.get(at + 1)?, *packet.get(at + 2)?]);
    let mut found = Vec::new();
    let mut exists = false;
    for (owner, addresses, told) in names {
        for ip in *addresses {
            let ip: IpAddr = ip.parse().expect("an address");
            let name = match told {
                Told::Forward if name.ends_with(".arpa.") => "",
                Told::Reverse if !name.ends_with(".arpa.") => "",
                _ => &name[..],
            };
            exists |= name == *owner || name == reverse(ip);
            match (kind, ip) {
                (A, IpAddr::V4(ip)) if name == *owner => found.push(ip.octets().to_vec()),
                (AAAA, IpAddr::V6(ip)) if name == *owner => found.push(ip.octets().to_vec()),
                (PTR, ip) if name == reverse(ip) && found.is_empty() => found.push(labels(owner)),
                _ => {}
            }
        }
    }
    let code = if exists { 0 } else { 3 };
    let count = u8::try_from(found.len()).expect("they are few");
    let mut reply = packet[..2].to_vec();
    reply.extend_from_slice(&[0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    reply.extend_from_slice(question);
    for data in found {
        // The name of the question, the kind, class IN, a minute.
        reply.extend_from_slice(&[0xc0, 12]);
        reply.extend_from_slice(&kind.to_be_bytes());
        reply.extend_from_slice(&[0, 1, 0, 0, 0, 60, 0]);
        reply.push(u8::try_from(data.len()).expect("it is short"));
        reply.extend_from_slice(&data);
    }
    Some((kind, reply))
}

fn labels(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    // The last one is empty: the root.
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).expect("it is short"));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes
}

/// `4.3.2.1.in-addr.arpa.`, or 32 nibbles below ip6.arpa. RFC 1035 section 3.5, RFC 3596 section 2.5.
fn reverse(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(ip) => {
            let octets = ip.octets().into_iter().rev();
            let nibbles: String = octets
                .map(|octet| format!("{:x}.{:x}.", octet & 15, octet >> 4))
                .collect();
            format!("{nibbles}ip6.arpa.")
        }
    }
}
