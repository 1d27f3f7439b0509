//! A network of the test's own, with a name server and an ident server in it.
//!
//! Namespaces belong to threads: a test runs in a thread of its own, and all that it starts inherits its network.
#![allow(unsafe_code, reason = "no library call sets an interface up")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Mutex};

use nix::sched::{CloneFlags, unshare};

use crate::support::deadline;
use crate::world;

/// Where the name server is.
pub(crate) const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// Moves this thread into a network in which nobody else is; false where that is not allowed, which has been said.
pub(crate) fn enter() -> bool {
    let entered = unshare(CloneFlags::CLONE_NEWNET).is_ok() && loopback_up().is_ok();
    if !entered {
        world::skip("it may not make a network of its own");
    }
    entered
}

/// netdevice(7), "SIOCSIFFLAGS".
fn loopback_up() -> std::io::Result<()> {
    let any = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: all bytes zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags =
        i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).expect("they are small");
    // SAFETY: the request is a valid ifreq that lives through the call.
    let result = unsafe { libc::ioctl(any.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) };
    nix::errno::Errno::result(result)?;
    Ok(())
}

/// A name server that calls 127.0.0.1 `friend.test`, every other address `foe.test`, and says that every name is
/// 127.0.0.1, nothing of it to be remembered. It serves as long as the tests run.
pub(crate) fn serve_names() {
    let socket = UdpSocket::bind((NAME_SERVER, 53)).expect("nobody else is here");
    std::thread::spawn(move || {
        let mut room = [0; 512];
        loop {
            if let Ok((length, client)) = socket.recv_from(&mut room)
                && let Some(answer) = answer(&room[..length])
            {
                let _ = socket.send_to(&answer, client);
            }
        }
    });
}

/// The same name server, which answers when it is told to. It serves as long as the tests run.
pub(crate) struct HeldNames {
    socket: UdpSocket,
    shared: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    is_released: bool,
    /// Answers that wait, and for whom.
    waiting: Vec<(Vec<u8>, SocketAddr)>,
}

impl HeldNames {
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind((NAME_SERVER, 53)).expect("nobody else is here");
        let shared = Arc::<Mutex<Held>>::default();
        let (reader, held) = (socket.try_clone().expect("a copy"), Arc::clone(&shared));
        std::thread::spawn(move || {
            let mut room = [0; 512];
            loop {
                let Ok((length, client)) = reader.recv_from(&mut room) else {
                    continue;
                };
                let Some(answer) = answer(&room[..length]) else {
                    continue;
                };
                let mut held = held.lock().expect("nobody panics");
                if held.is_released {
                    let _ = reader.send_to(&answer, client);
                } else {
                    held.waiting.push((answer, client));
                }
            }
        });
        Self { socket, shared }
    }

    /// From now on no question is answered.
    pub(crate) fn hold(&self) {
        *self.shared.lock().expect("nobody panics") = Held::default();
    }

    /// Waits until `count` questions have come.
    pub(crate) fn wait_for(&self, count: usize) {
        world::eventually("the questions have come", || {
            self.shared.lock().expect("nobody panics").waiting.len() >= count
        });
    }

    /// Answers all questions that wait, and those that come.
    pub(crate) fn release(&self) {
        let mut held = self.shared.lock().expect("nobody panics");
        held.is_released = true;
        for (answer, client) in held.waiting.drain(..) {
            let _ = self.socket.send_to(&answer, client);
        }
    }
}

/// The answer to a question: its header and question, and one record that points back to the name. RFC 1035 section 4.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let end = question.len();
    let kind = question.get(end.checked_sub(4)?..end)?;
    let data: &[u8] = match kind {
        [0, 1, 0, 1] => &[127, 0, 0, 1],
        [0, 12, 0, 1] if question.get(12..)?.starts_with(b"\x011\x010\x010\x03127") => {
            b"\x06friend\x04test\0"
        }
        [0, 12, 0, 1] => b"\x03foe\x04test\0",
        _ => b"",
    };
    let mut packet = question.to_vec();
    // A response, recursion desired and available; one answer unless there is none.
    packet[2..4].copy_from_slice(&[0x81, 0x80]);
    packet[7] = u8::from(!data.is_empty());
    if !data.is_empty() {
        packet.extend_from_slice(&[0xc0, 12]);
        packet.extend_from_slice(kind);
        packet.extend_from_slice(&[0, 0, 0, 0, 0, u8::try_from(data.len()).ok()?]);
        packet.extend_from_slice(data);
    }
    Some(packet)
}

/// An ident server at every address that calls everybody joe. It serves as long as the tests run.
pub(crate) fn serve_idents() {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 113)).expect("nobody else is here");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(deadline()));
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"1 , 2 : USERID : UNIX : joe\r\n");
        }
    });
}
