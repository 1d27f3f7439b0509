//! A running tcpserver, and both kinds of other ends: clients of tcpserver, servers for tcpclient.

use std::cell::RefCell;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use nix::sys::signal::Signal;

use super::capture::Capture;
use super::inspect;
use super::net;
use super::probe;
use super::process::Process;
use super::transcript::Transcript;

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A tcpserver that listens; killed with its children when it goes out of scope.
pub(crate) struct Server {
    process: Process,
    pub(crate) port: u16,
    stdout_seen: usize,
    clients: usize,
    transcript: Rc<RefCell<Transcript>>,
}

impl Server {
    pub(crate) fn new(
        process: Process,
        port: u16,
        stdout_seen: usize,
        transcript: Rc<RefCell<Transcript>>,
    ) -> Self {
        Self {
            process,
            port,
            stdout_seen,
            clients: 0,
            transcript,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// A client from 127.0.0.1.
    pub(crate) fn connect(&mut self) -> Peer {
        self.connect_from(LOCALHOST)
    }

    pub(crate) fn connect_from(&mut self, source: Ipv4Addr) -> Peer {
        self.connect_between(source, LOCALHOST)
    }

    pub(crate) fn connect_between(&mut self, source: Ipv4Addr, target: Ipv4Addr) -> Peer {
        let stream = self.socket(source, target).expect("the server listens");
        self.client(stream, source)
    }

    /// A client whose packets ask to have their route recorded, and the answers too: an IP option that does no harm.
    pub(crate) fn connect_recording_the_route(&mut self) -> Peer {
        // RFC 791: type, length, where the next address goes, room for one, and the end of the options.
        const RECORD_ROUTE: [u8; 8] = [7, 7, 4, 0, 0, 0, 0, 0];
        let stream = {
            let transcript = self.transcript.borrow();
            let is_known = |port| transcript.names.is_known(port);
            net::connect_with(LOCALHOST, LOCALHOST, self.port, is_known, &RECORD_ROUTE)
        };
        self.client(stream.expect("the server listens"), LOCALHOST)
    }

    /// A client from 127.0.0.1 of a server that perhaps does not listen at all.
    pub(crate) fn connect_if_it_listens(&mut self) -> Option<Peer> {
        match self.socket(LOCALHOST, LOCALHOST) {
            Ok(stream) => Some(self.client(stream, LOCALHOST)),
            Err(error) => {
                self.transcript
                    .borrow_mut()
                    .line(&format!("client cannot connect: {}", error.desc()));
                None
            }
        }
    }

    fn socket(&self, source: Ipv4Addr, target: Ipv4Addr) -> nix::Result<TcpStream> {
        let transcript = self.transcript.borrow();
        net::connect_from(source, target, self.port, |port| {
            transcript.names.is_known(port)
        })
    }

    fn client(&mut self, stream: TcpStream, source: Ipv4Addr) -> Peer {
        self.clients += 1;
        let label = format!("client {}", self.clients);
        let port = stream
            .local_addr()
            .expect("a connected socket has a name")
            .port();
        let mut transcript = self.transcript.borrow_mut();
        transcript
            .names
            .port(port, format!("CPORT{}", self.clients));
        transcript.line(&format!("{label} connects from {source}"));
        drop(transcript);
        Peer::new(stream, label, Rc::clone(&self.transcript))
    }

    /// Waits until `count` lines of the log contain `text`.
    pub(crate) fn wait_for(&self, text: &str, count: usize) {
        self.log().wait_for(text, count);
    }

    /// The first line of the log.
    pub(crate) fn first_log_line(&self) -> String {
        String::from_utf8_lossy(&self.log().first_line())
            .trim_end()
            .to_owned()
    }

    pub(crate) fn count_in_log(&self, text: &str) -> usize {
        self.log().count(text)
    }

    /// Waits until `count` children have ended and the log says so (`-v` only).
    pub(crate) fn wait_for_ends(&self, count: usize) {
        // A status line follows each end; the first line of all and each accept have one too, so wait for the end
        // line, then for as many status lines as go with it when connections came one at a time.
        self.wait_for("tcpserver: end ", count);
        self.wait_for("tcpserver: status: ", 2 * count + 1);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.transcript
            .borrow_mut()
            .line(&format!("the server gets {signal}"));
        self.process.signal(signal);
    }

    /// Ends the server by SIGTERM and writes down its log.
    pub(crate) fn terminate(self) {
        self.signal(Signal::SIGTERM);
        self.finish();
    }

    /// Waits until the server has ended by itself, and writes down its log.
    pub(crate) fn finish(mut self) {
        self.wait();
        self.record_log();
    }

    /// Waits for the end of the server, but not of its children.
    pub(crate) fn wait(&mut self) {
        let status = self.process.wait();
        self.transcript.borrow_mut().status(status);
    }

    /// Writes down the log, once the last of the server's children has closed it.
    pub(crate) fn record_log(self) {
        let mut transcript = self.transcript.borrow_mut();
        if let Some(stdout) = &self.process.stdout {
            transcript.bytes("stdout", &stdout.to_end()[self.stdout_seen..]);
        }
        if let Some(stderr) = &self.process.stderr {
            transcript.bytes("log", &without_waiting(&stderr.to_end()));
        }
    }

    /// Waits until the server has closed its stdout.
    pub(crate) fn wait_for_end_of_stdout(&self) {
        self.process
            .stdout
            .as_ref()
            .expect("stdout is a pipe")
            .to_end();
        self.transcript
            .borrow_mut()
            .line("stdout has ended, the server runs");
    }

    fn log(&self) -> &Capture {
        self.process.stderr.as_ref().expect("the log is a pipe")
    }
}

/// The log without lines about connections that wait: who waits for a second hangs on what else the machine does.
fn without_waiting(log: &[u8]) -> Vec<u8> {
    let lines = log.split_inclusive(|&byte| byte == b'\n');
    let others = lines.filter(|line| !line.starts_with(b"tcpserver: waiting "));
    others.collect::<Vec<_>>().concat()
}

/// Accepts the connections of tcpclient.
pub(crate) struct Listener {
    listener: TcpListener,
    /// What keeps its port from clients.
    _held: Option<OwnedFd>,
    pub(crate) port: u16,
    accepted: usize,
    transcript: Rc<RefCell<Transcript>>,
}

impl Listener {
    pub(crate) fn new(
        listener: TcpListener,
        held: Option<OwnedFd>,
        transcript: Rc<RefCell<Transcript>>,
    ) -> Self {
        let port = listener.local_addr().expect("a listener has a name").port();
        Self {
            listener,
            _held: held,
            port,
            accepted: 0,
            transcript,
        }
    }

    /// The next connection; its port is CPORT1, CPORT2 and so on.
    pub(crate) fn accept(&mut self) -> Peer {
        let stream = net::accept(&self.listener);
        self.accepted += 1;
        let label = format!("server side {}", self.accepted);
        let from = stream
            .peer_addr()
            .expect("the connection has not been reset");
        let mut transcript = self.transcript.borrow_mut();
        transcript
            .names
            .port(from.port(), format!("CPORT{}", self.accepted));
        transcript.line(&format!("{label} has a connection from {}", from.ip()));
        drop(transcript);
        Peer::new(stream, label, Rc::clone(&self.transcript))
    }
}

/// Our end of a connection with the program.
pub(crate) struct Peer {
    stream: TcpStream,
    label: String,
    transcript: Rc<RefCell<Transcript>>,
}

impl Peer {
    pub(crate) fn new(
        stream: TcpStream,
        label: String,
        transcript: Rc<RefCell<Transcript>>,
    ) -> Self {
        Self {
            stream,
            label,
            transcript,
        }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.transcript
            .borrow_mut()
            .bytes(&format!("{} sends", self.label), bytes.as_ref());
        net::send(&mut self.stream, bytes.as_ref());
    }

    pub(crate) fn half_close(&mut self) {
        self.say("sends no more");
        net::half_close(&self.stream);
    }

    /// Reads to the end of the stream.
    pub(crate) fn receive_all(&mut self) {
        let bytes = net::receive_all(&mut self.stream);
        self.transcript
            .borrow_mut()
            .bytes(&format!("{} receives", self.label), &bytes);
        self.say("sees the end");
    }

    pub(crate) fn receive_line(&mut self) {
        let bytes = net::receive_line(&mut self.stream);
        self.transcript
            .borrow_mut()
            .bytes(&format!("{} receives", self.label), &bytes);
    }

    /// The next `count` bytes, fewer only at the end of the stream.
    pub(crate) fn receive_count(&mut self, count: usize) {
        let bytes = net::receive_exactly(&mut self.stream, count);
        self.transcript
            .borrow_mut()
            .bytes(&format!("{} receives", self.label), &bytes);
    }

    /// Sends every piece by itself.
    pub(crate) fn send_at_once(&self) {
        self.stream
            .set_nodelay(true)
            .expect("a connection takes TCP_NODELAY");
    }

    /// Looks whether the other end has sent or closed meanwhile; it should not have.
    pub(crate) fn stays_silent(&mut self) {
        let silent = net::is_silent(&self.stream);
        self.say(if silent {
            "neither receives anything nor sees the end"
        } else {
            "receives something, or sees the end"
        });
    }

    /// The next line, not written down: it differs from run to run.
    pub(crate) fn take_line(&mut self) -> Vec<u8> {
        net::receive_line(&mut self.stream)
    }

    /// Sends all bytes and reads to the end at the same time.
    pub(crate) fn exchange(&mut self, bytes: &[u8]) {
        let mut sender = self
            .stream
            .try_clone()
            .expect("a descriptor can be duplicated");
        let received = std::thread::scope(|scope| {
            scope.spawn(|| {
                net::send(&mut sender, bytes);
                net::half_close(&sender);
            });
            net::receive_all(&mut self.stream)
        });
        self.say(&format!("sends {}", inspect::summary(bytes)));
        self.say(&format!("receives {}", inspect::summary(&received)));
    }

    /// Sends all of `bytes` and reads `count` bytes at the same time; does not close.
    pub(crate) fn exchange_exactly(&mut self, bytes: &[u8], count: usize) {
        let mut sender = self
            .stream
            .try_clone()
            .expect("a descriptor can be duplicated");
        let received = std::thread::scope(|scope| {
            scope.spawn(|| net::send(&mut sender, bytes));
            net::receive_exactly(&mut self.stream, count)
        });
        self.say(&format!("sends {}", inspect::summary(bytes)));
        self.say(&format!("receives {}", inspect::summary(&received)));
    }

    /// Sends back all bytes as they come, one read at a time, until `count` have come.
    pub(crate) fn echo_exactly(&mut self, count: usize) {
        let mut echoed = 0;
        let mut room = vec![0; 16 * 1024];
        while echoed < count {
            let length = self.stream.read(&mut room).expect("bytes come in time");
            assert!(length > 0, "the end comes after {echoed} of {count} bytes");
            net::send(&mut self.stream, &room[..length]);
            echoed += length;
        }
        self.say(&format!("echoes {echoed} bytes"));
    }

    /// Closes so that the other end sees an error: a reset.
    pub(crate) fn reset(self) {
        net::reset_on_close(&self.stream);
        self.say("resets the connection");
    }

    /// Reads what `probe::SIGNALS` prints, to the end.
    pub(crate) fn receive_signals(&mut self) {
        self.receive_probe(probe::signals);
    }

    /// Reads what `probe::DESCRIPTORS` prints, to the end.
    pub(crate) fn receive_descriptors(&mut self) {
        self.receive_probe(probe::descriptors);
    }

    /// Reads what `probe::IDS` prints, to the end.
    pub(crate) fn receive_ids(&mut self) {
        self.receive_probe(probe::ids);
    }

    fn receive_probe(&mut self, read: impl Fn(&str) -> Vec<String>) {
        let bytes = net::receive_all(&mut self.stream);
        for line in read(&String::from_utf8_lossy(&bytes)) {
            self.say(&format!("learns {line}"));
        }
    }

    pub(crate) fn close(self) {
        self.say("closes");
    }

    fn say(&self, text: &str) {
        self.transcript
            .borrow_mut()
            .line(&format!("{} {text}", self.label));
    }
}
