//! Clients, and the server behind the relays.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

/// A request, and its answer.
const WORDS: [u8; 100] = [b'.'; 100];

/// A server that gives back what it gets; after `G` and eight bytes it sends that many zeros instead.
pub(crate) struct Backend {
    pub(crate) port: u16,
}

impl Backend {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        // The standard library's queue is too short for what comes here.
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::MAXCONN)
            .expect("it listens");
        let port = listener.local_addr().expect("it is bound").port();
        std::thread::spawn(move || serve(&listener));
        Self { port }
    }
}

fn serve(listener: &TcpListener) {
    listener.set_nonblocking(true).expect("a socket");
    let epoll = Epoll::new(EpollCreateFlags::empty()).expect("descriptors");
    epoll
        .add(listener, EpollEvent::new(EpollFlags::EPOLLIN, u64::MAX))
        .expect("memory");
    let mut all: Vec<Option<TcpStream>> = Vec::new();
    let mut free = Vec::new();
    let mut events = vec![EpollEvent::empty(); 256];
    let mut room = vec![0; 64 << 10];
    loop {
        let found = epoll.wait(&mut events, EpollTimeout::NONE).unwrap_or(0);
        for event in &events[..found] {
            if event.data() == u64::MAX {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true).expect("a socket");
                    let at = free.pop().unwrap_or_else(|| {
                        all.push(None);
                        all.len() - 1
                    });
                    let readable = EpollEvent::new(EpollFlags::EPOLLIN, at as u64);
                    epoll.add(&stream, readable).expect("memory");
                    all[at] = Some(stream);
                }
                continue;
            }
            let at = usize::try_from(event.data()).expect("an index");
            let Some(mut stream) = all[at].take() else {
                continue;
            };
            match stream.read(&mut room) {
                Ok(length) if length > 0 && room[0] == b'G' => {
                    let _ = epoll.delete(&stream);
                    free.push(at);
                    let count = room[1..9]
                        .try_into()
                        .map(u64::from_ne_bytes)
                        .expect("8 bytes");
                    std::thread::spawn(move || pour(&stream, count));
                }
                Ok(length) if length > 0 => {
                    let _ = stream.write_all(&room[..length]);
                    all[at] = Some(stream);
                }
                _ => free.push(at),
            }
        }
    }
}

fn pour(mut stream: &TcpStream, mut left: u64) {
    stream.set_nonblocking(false).expect("a socket");
    let zeros = vec![0; 256 << 10];
    while left > 0 {
        let length = left.min(zeros.len() as u64);
        if stream
            .write_all(&zeros[..usize::try_from(length).expect("small")])
            .is_err()
        {
            return;
        }
        left -= length;
    }
    // It stays until the client ends it.
    let _ = stream.read(&mut [0]);
}

/// How clients come.
#[derive(Clone)]
pub(crate) enum Way {
    Plain,
    Tls(Tls),
}

/// A client with TLS.
#[derive(Clone)]
pub(crate) struct Tls {
    /// The certificate that is trusted.
    pub(crate) trusted: CertificateDer<'static>,
    /// It comes again with the ticket from the time before.
    pub(crate) resumes: bool,
}

impl Way {
    /// What opens connections, for one thread.
    fn opener(&self) -> impl FnMut(u16) -> Stream + use<> {
        let config = match self {
            Self::Plain => None,
            Self::Tls(tls) => Some(tls.config()),
        };
        move |port| {
            let stream = open(port);
            let Some(config) = &config else {
                return Stream::Plain(stream);
            };
            let name = ServerName::try_from("relay.example").expect("a name");
            let session = ClientConnection::new(Arc::clone(config), name).expect("a client");
            Stream::Tls(Box::new(StreamOwned::new(session, stream)))
        }
    }

    /// True when a request through `port` is answered.
    pub(crate) fn ping(&self, port: u16) -> bool {
        if TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err() {
            return false;
        }
        let mut stream = self.opener()(port);
        stream.write_all(b"?").is_ok() && stream.read_exact(&mut [0]).is_ok()
    }
}

impl Tls {
    fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("there are some")
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !self.resumes {
            config.resumption = Resumption::disabled();
        }
        Arc::new(config)
    }
}

/// A client's connection.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn is_resumed(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.conn.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(room),
            Self::Tls(stream) => stream.read(room),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

fn open(port: u16) -> TcpStream {
    let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let stream = stream.expect("the relay takes connections");
    let limit = Some(Duration::from_secs(60));
    stream.set_read_timeout(limit).expect("a limit can be set");
    stream
}

/// Receives `bytes` in all over `streams` connections at once; returns the seconds.
pub(crate) fn bulk(way: &Way, port: u16, streams: usize, bytes: u64) -> f64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..streams {
            scope.spawn(|| {
                let mut stream = way.opener()(port);
                let mut left = bytes / streams as u64;
                stream
                    .write_all(&[&b"G"[..], &left.to_ne_bytes()].concat())
                    .expect("it takes it");
                let mut room = vec![0; 256 << 10];
                while left > 0 {
                    let length = stream.read(&mut room).expect("zeros come");
                    assert_ne!(length, 0, "all of them");
                    left -= length as u64;
                }
            });
        }
    });
    start.elapsed().as_secs_f64()
}

/// Makes `count` requests over `sessions` connections, on each one after the other; returns the seconds, and how long one in
/// a hundred took at least; `None` when an answer is lost.
pub(crate) fn requests(port: u16, sessions: usize, count: usize) -> Option<(f64, f64)> {
    let epoll = Epoll::new(EpollCreateFlags::empty()).expect("descriptors");
    let mut streams: Vec<TcpStream> = (0..sessions).map(|_| open(port)).collect();
    for (at, stream) in streams.iter().enumerate() {
        epoll
            .add(
                stream.as_fd(),
                EpollEvent::new(EpollFlags::EPOLLIN, at as u64),
            )
            .expect("memory");
    }
    let start = Instant::now();
    let mut begun: Vec<Instant> = Vec::new();
    for stream in &mut streams {
        begun.push(Instant::now());
        stream.write_all(&WORDS).expect("it takes it");
    }
    let mut waits = Vec::with_capacity(count);
    let mut events = vec![EpollEvent::empty(); 256];
    while waits.len() < count {
        let found = epoll
            .wait(&mut events, EpollTimeout::from(5000_u16))
            .expect("events");
        if found == 0 {
            return None;
        }
        for event in &events[..found] {
            let at = usize::try_from(event.data()).expect("an index");
            streams[at]
                .read_exact(&mut [0; WORDS.len()])
                .expect("the answer");
            waits.push(begun[at].elapsed().as_secs_f64());
            begun[at] = Instant::now();
            streams[at].write_all(&WORDS).expect("it takes it");
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    waits.sort_by(f64::total_cmp);
    Some((seconds, waits[waits.len() * 99 / 100]))
}

/// Makes `count` connections, `at_once` at a time, with one request each; returns the seconds.
pub(crate) fn sessions(way: &Way, port: u16, count: usize, at_once: usize) -> f64 {
    let resumed = AtomicUsize::new(0);
    let left = AtomicUsize::new(count);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                let mut open = way.opener();
                while left
                    .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
                    let mut stream = open(port);
                    stream.write_all(&WORDS).expect("it takes it");
                    stream
                        .read_exact(&mut [0; WORDS.len()])
                        .expect("the answer");
                    resumed.fetch_add(usize::from(stream.is_resumed()), Relaxed);
                }
            });
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    let resumes = matches!(way, Way::Tls(tls) if tls.resumes);
    // The first one of each thread has no ticket.
    let enough = if resumes { count - at_once } else { 0 };
    let resumed = resumed.into_inner();
    assert!(
        resumed >= enough && (resumes || resumed == 0),
        "{resumed} of {count}"
    );
    seconds
}

/// `count` sessions, each of which has received `bytes` and is idle now.
pub(crate) fn idle(way: &Way, port: u16, count: usize, bytes: u64) -> Vec<Stream> {
    let mut open = way.opener();
    let mut room = vec![0; 64 << 10];
    let sessions = (0..count).map(|_| {
        let mut stream = open(port);
        stream
            .write_all(&[&b"G"[..], &bytes.to_ne_bytes()].concat())
            .expect("it takes it");
        let mut left = bytes;
        while left > 0 {
            let length = stream.read(&mut room).expect("zeros come");
            assert_ne!(length, 0, "all of them");
            left -= length as u64;
        }
        stream
    });
    sessions.collect()
}
