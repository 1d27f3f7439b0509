//! A network of the test's own, with a name server and an ident server in it.
//!
//! Namespaces belong to threads: a test runs in a thread of its own, and all that it starts inherits its network.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use crate::support::identd::Identd;
use crate::support::nameserver::{Act, NameServer};
use crate::support::own_net;
use crate::support::packet::{A, PTR, Question, name};
use crate::world;

/// Where the name server is.
pub(crate) const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// Moves this thread into a network in which nobody else is; false where that is not allowed, which has been said.
pub(crate) fn enter() -> bool {
    let entered = own_net::enter_network();
    if let Err(why) = &entered {
        world::skip(why);
    }
    entered.is_ok()
}

/// A name server that calls 127.0.0.1 `friend.test`, every other address `foe.test`, and says that every name is
/// 127.0.0.1, nothing of it to be remembered. It serves as long as the tests run.
pub(crate) fn serve_names() {
    let server = NameServer::scripted(NAME_SERVER, |question, _| vec![Act::Say(answer(question))]);
    std::mem::forget(server);
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
                let Some(question) = Question::read(&room[..length], false) else {
                    continue;
                };
                let answer = answer(&question);
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

/// One record, if the question is for a name or an address.
fn answer(question: &Question) -> Vec<u8> {
    let reply = question.reply();
    let reply = match (question.kind, &question.name[..]) {
        (A, _) => reply.with(A, 0, &[127, 0, 0, 1]),
        (PTR, "1.0.0.127.in-addr.arpa") => reply.with(PTR, 0, &name("friend.test")),
        (PTR, _) => reply.with(PTR, 0, &name("foe.test")),
        _ => reply,
    };
    reply.bytes()
}

/// An ident server at every address that calls everybody joe. It serves as long as the tests run.
pub(crate) fn serve_idents() {
    let reply = "1 , 2 : USERID : UNIX : joe\r\n";
    std::mem::forget(Identd::saying(Ipv4Addr::UNSPECIFIED, reply));
}
