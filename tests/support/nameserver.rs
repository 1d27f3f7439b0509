//! A name server that does what a script says, right or wrong, on port 53 over UDP and TCP.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::deadline;
use super::own_net;
use super::packet::Question;
use super::zone::Zone;

const PORT: u16 = 53;

/// One thing that the server does about a question.
pub(crate) enum Act {
    Say(Vec<u8>),
    /// Sends from another address, port 53.
    SayFrom(Ipv4Addr, Vec<u8>),
    /// Sends from another port.
    SayFromAnotherPort(Vec<u8>),
    SayLater(Duration, Vec<u8>),
    /// Over TCP, closes the connection; over UDP, nothing.
    Close,
    /// Over TCP, begins a packet and closes the connection; over UDP, nothing.
    SayHalf(Vec<u8>),
}

/// What to do about a question that is the `usize`-th one, from 0.
type Script = Box<dyn FnMut(&Question, usize) -> Vec<Act> + Send>;

pub(crate) struct NameServer {
    ip: Ipv4Addr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    script: Mutex<Script>,
    asked: Mutex<Vec<Question>>,
    news: Condvar,
    is_over: AtomicBool,
}

impl NameServer {
    /// A server that does what `script` says.
    pub(crate) fn scripted(
        ip: Ipv4Addr,
        script: impl FnMut(&Question, usize) -> Vec<Act> + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(script)),
            asked: Mutex::default(),
            news: Condvar::new(),
            is_over: AtomicBool::new(false),
        });
        let udp = own_net::bound(|| UdpSocket::bind((ip, PORT)));
        let tcp = own_net::bound(|| TcpListener::bind((ip, PORT)));
        let threads = vec![
            std::thread::spawn({
                let shared = Arc::clone(&shared);
                move || serve_udp(&udp, &shared)
            }),
            std::thread::spawn({
                let shared = Arc::clone(&shared);
                move || serve_tcp(&tcp, &shared)
            }),
        ];
        Self {
            ip,
            shared,
            threads,
        }
    }

    /// A server that knows `zone`.
    pub(crate) fn of(ip: Ipv4Addr, zone: Zone) -> Self {
        Self::scripted(ip, move |question, _| {
            vec![Act::Say(zone.answer(question).bytes())]
        })
    }

    /// A server that never answers.
    pub(crate) fn silent(ip: Ipv4Addr) -> Self {
        Self::scripted(ip, |_, _| Vec::new())
    }

    /// A server that answers every question with this code.
    pub(crate) fn failing(ip: Ipv4Addr, code: u16) -> Self {
        Self::scripted(ip, move |question, _| {
            vec![Act::Say(question.reply().code(code).bytes())]
        })
    }

    /// All that was asked, in order, as text.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.shared.asked.lock().expect("no script panics");
        asked.iter().map(Question::text).collect()
    }

    /// What was asked, each question once, sorted: the same however often and in whichever order it was asked.
    pub(crate) fn asked_for(&self) -> Vec<String> {
        let mut asked = self.asked();
        asked.sort();
        asked.dedup();
        asked
    }

    /// Waits until `count` questions have come.
    pub(crate) fn wait_for_questions(&self, count: usize) {
        let limit = Instant::now() + deadline();
        let mut asked = self.shared.asked.lock().expect("no script panics");
        while asked.len() < count {
            let left = limit.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "only {} of {count} questions came",
                asked.len()
            );
            let waited = self.shared.news.wait_timeout(asked, left);
            asked = waited.expect("no script panics").0;
        }
    }
}

impl NameServer {
    /// Waits until a question comes, but not for long.
    pub(crate) fn wait_for_news(&self, limit: Duration) {
        let asked = self.shared.asked.lock().expect("no script panics");
        drop(self.shared.news.wait_timeout(asked, limit));
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Both threads wait for somebody.
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) {
            let _ = socket.send_to(&[], (self.ip, PORT));
        }
        let _ = TcpStream::connect((self.ip, PORT));
        for thread in self.threads.drain(..) {
            let is_well = thread.join().is_ok();
            assert!(is_well || std::thread::panicking(), "the script panicked");
        }
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Writes the question down and asks the script.
    fn acts(&self, question: Question) -> Vec<Act> {
        let count = {
            let mut asked = self.asked.lock().expect("no script panics");
            asked.push(question.clone());
            asked.len() - 1
        };
        self.news.notify_all();
        (self.script.lock().expect("no script panics"))(&question, count)
    }
}

fn serve_udp(socket: &UdpSocket, shared: &Shared) {
    let mut room = [0; 1024];
    loop {
        let received = socket.recv_from(&mut room);
        if shared.is_over() {
            return;
        }
        // A client that has gone shows as an error of the next call.
        let Ok((length, client)) = received else {
            continue;
        };
        let Some(question) = Question::read(&room[..length], false) else {
            continue;
        };
        for act in shared.acts(question) {
            let sent = match act {
                Act::Say(packet) => socket.send_to(&packet, client),
                Act::SayFrom(ip, packet) => {
                    UdpSocket::bind((ip, PORT)).and_then(|other| other.send_to(&packet, client))
                }
                Act::SayFromAnotherPort(packet) => {
                    let ip = socket.local_addr().expect("it is bound").ip();
                    UdpSocket::bind((ip, 0)).and_then(|other| other.send_to(&packet, client))
                }
                Act::SayLater(delay, packet) => {
                    let socket = socket.try_clone().expect("a descriptor can be duplicated");
                    std::thread::spawn(move || {
                        std::thread::sleep(delay);
                        let _ = socket.send_to(&packet, client);
                    });
                    Ok(0)
                }
                Act::Close | Act::SayHalf(_) => Ok(0),
            };
            // A client that has gone does not mind.
            let _ = sent;
        }
    }
}

fn serve_tcp(listener: &TcpListener, shared: &Shared) {
    loop {
        let accepted = listener.accept();
        if shared.is_over() {
            return;
        }
        if let Ok((stream, _)) = accepted {
            let _ = converse(stream, shared);
        }
    }
}

/// One question over TCP: RFC 1035 section 4.2.2. Ends when the other end closes.
fn converse(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(deadline()))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut packet = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut packet)?;
    let Some(question) = Question::read(&packet, true) else {
        return Ok(());
    };
    for act in shared.acts(question) {
        match act {
            Act::Say(packet) => stream.write_all(&with_length(&packet))?,
            Act::SayHalf(packet) => {
                return stream.write_all(&with_length(&packet)[..2 + packet.len() / 2]);
            }
            Act::Close => return Ok(()),
            Act::SayFrom(..) | Act::SayFromAnotherPort(_) | Act::SayLater(..) => {}
        }
    }
    stream.read_to_end(&mut Vec::new()).map(drop)
}

/// A packet as it is sent over TCP.
fn with_length(packet: &[u8]) -> Vec<u8> {
    let length = u16::try_from(packet.len()).expect("a packet is not longer");
    [&length.to_be_bytes(), packet].concat()
}
