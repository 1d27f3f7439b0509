//! An ident server that does what a script says. RFC 1413.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, connect, listen, socket,
};

use super::deadline;
use super::own_net;

const PORT: u16 = 113;

/// Gets the question without its line end, and the connection to answer on.
type Script = dyn Fn(&str, &mut TcpStream) + Send + Sync;

pub(crate) struct Identd {
    ip: Ipv4Addr,
    is_over: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<(SocketAddr, String)>>>,
    thread: Option<JoinHandle<()>>,
}

impl Identd {
    /// A server whose connections are served by `script`, each in a thread of its own, and then closed.
    pub(crate) fn scripted(
        ip: Ipv4Addr,
        script: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let listener = own_net::bound(|| TcpListener::bind((ip, PORT)));
        let (is_over, asked) = (
            Arc::<AtomicBool>::default(),
            Arc::<Mutex<Vec<_>>>::default(),
        );
        let script: Arc<Script> = Arc::new(script);
        let thread = std::thread::spawn({
            let (is_over, asked) = (Arc::clone(&is_over), Arc::clone(&asked));
            move || {
                while let Ok((stream, from)) = listener.accept() {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    let (script, asked) = (Arc::clone(&script), Arc::clone(&asked));
                    std::thread::spawn(move || serve(stream, from, &*script, &asked));
                }
            }
        });
        Self {
            ip,
            is_over,
            asked,
            thread: Some(thread),
        }
    }

    /// A server that sends these bytes and closes.
    pub(crate) fn saying(ip: Ipv4Addr, reply: impl Into<Vec<u8>>) -> Self {
        let reply = reply.into();
        Self::scripted(ip, move |_, stream| {
            super::net::send(stream, &reply);
        })
    }

    /// A server that takes the question and says nothing until the other end gives up.
    pub(crate) fn silent(ip: Ipv4Addr) -> Self {
        Self::scripted(ip, |_, stream| {
            let _ = stream.read(&mut [0]);
        })
    }

    /// A port 113 where nobody accepts: the kernel takes `backlog` connections, and no reply comes.
    pub(crate) fn unattended(ip: Ipv4Addr, backlog: i32) -> OwnedFd {
        let listener = tcp(SockFlag::empty());
        let address = SockaddrIn::from(SocketAddrV4::new(ip, PORT));
        bind(listener.as_raw_fd(), &address).expect("port 113 is free in our own world");
        let backlog = Backlog::new(backlog).expect("the kernel queues that many");
        listen(&listener, backlog).expect("a bound socket listens");
        listener
    }

    /// Who asked what so far.
    pub(crate) fn asked(&self) -> Vec<(SocketAddr, String)> {
        self.asked.lock().expect("no script panics").clone()
    }
}

/// A port 113 that answers nobody: its queue is full, so the kernel drops further connection requests. It is so until
/// all that is returned is dropped.
pub(crate) fn full(ip: Ipv4Addr) -> Vec<OwnedFd> {
    let mut kept = vec![Identd::unattended(ip, 0)];
    for _ in 0..4 {
        let client = tcp(SockFlag::SOCK_NONBLOCK);
        let address = SockaddrIn::from(SocketAddrV4::new(ip, PORT));
        // One is in the queue at once, the others never are.
        let _ = connect(client.as_raw_fd(), &address);
        kept.push(client);
    }
    kept
}

fn tcp(flags: SockFlag) -> OwnedFd {
    let flags = flags | SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("the system has TCP")
}

impl Drop for Identd {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((self.ip, PORT));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut stream: TcpStream,
    from: SocketAddr,
    script: &Script,
    asked: &Mutex<Vec<(SocketAddr, String)>>,
) {
    if stream.set_read_timeout(Some(deadline())).is_err() {
        return;
    }
    let mut question = String::new();
    let whole = BufReader::new(&stream).read_line(&mut question);
    if whole.is_ok() && question.ends_with("\r\n") {
        let question = question.trim_end();
        asked
            .lock()
            .expect("no script panics")
            .push((from, question.to_owned()));
        script(question, &mut stream);
    }
}
