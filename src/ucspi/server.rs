//! The server: what is set up once, in order, and the loop that accepts.
//!
//! One thread does it all. Each connection is a task that runs `connection::serve`; a slot is taken from accept until
//! that returns. SIGCHLD and SIGTERM are events in the same loop.

use std::cell::{Cell, RefCell};
use std::ffi::{CString, OsStr};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::task::Poll;

use nix::sys::signal::Signal;
use tokio::io::unix::AsyncFd;
use tokio::task::LocalSet;

use super::children::Children;
use super::connection::{self, DROPPING};
use super::host;
use super::listener::{Acceptor, Listener};
use super::log::Facts;
use super::names::Lookups;
use super::slots::{Count, Slots};
use crate::cli::{During, Error, FAILED, Voice, words};
use crate::dns::Resolver;
use crate::rules::{Peer, Rules, Verdict};
use crate::sys::exec::Program;
use crate::sys::limit::Descriptors;
use crate::sys::signal::Events;
use crate::sys::spawn::{Complaint, Spawner};
use crate::sys::{fd, privilege, process, signal, socket, watch};

/// What the command line of tcpserver asks for.
#[derive(Debug)]
pub struct Config {
    /// Where to listen: an address, a name, or `0` for any address.
    pub host: Vec<u8>,
    /// The port to bind; 0 for any free one.
    pub port: u16,
    /// The program to run, its name first.
    pub program: Vec<Vec<u8>>,
    /// How many connections may be open at once.
    pub limit: u32,
    /// How many connections may wait to be accepted.
    pub backlog: u32,
    /// The compiled rules.
    pub rules: Option<Vec<u8>>,
    /// Rules that do not exist are no rules.
    pub rules_may_be_missing: bool,
    /// Sent to every peer at once.
    pub banner: Vec<u8>,
    /// Do not follow source routes.
    pub clear_ip_options: bool,
    /// Send small writes at once.
    pub no_delay: bool,
    /// What to look up about each connection.
    pub lookups: Lookups,
    /// Say on descriptor 1 which port it is.
    pub print_port: bool,
    /// The only group to keep; 0 changes nothing.
    pub gid: u32,
    /// The user to become; 0 changes nothing.
    pub uid: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: Vec::new(),
            port: 0,
            program: Vec::new(),
            limit: 40,
            backlog: 20,
            rules: None,
            rules_may_be_missing: false,
            banner: Vec::new(),
            clear_ip_options: true,
            no_delay: false,
            lookups: Lookups::default(),
            print_port: false,
            gid: 0,
            uid: 0,
        }
    }
}

/// Listens, and serves connections until SIGTERM.
///
/// # Errors
/// Whatever keeps the server from starting: 100 for a wrong operand, 111 otherwise, with the original's messages.
pub fn run(config: Config, voice: Voice) -> Result<(), Error> {
    let program = Program::new(
        &config.program[0],
        &config.program,
        process::variable("PATH").as_deref(),
    );
    // Blocked and read as events. SIGPIPE is only blocked: a write that fails says so itself, and the program gets it
    // back with its mask.
    for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGPIPE] {
        signal::set_default(signal);
    }
    let inherited = signal::block(&[Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGPIPE])
        .during("block signals")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .during("start")?;
    let tasks = LocalSet::new();
    let resolver = Resolver::new(config.lookups.limit());
    let ip = tasks.block_on(&runtime, local_ip(&config.host, &resolver))?;
    let listener = Listener::bind(SocketAddr::new(ip, config.port), config.backlog)?;
    if config.gid != 0 {
        privilege::set_group(config.gid).during("set gid")?;
    }
    if config.uid != 0 {
        privilege::set_user(config.uid).during("set uid")?;
    }
    let local_port = listener.address.port().to_string();
    if config.print_port {
        // As in the original, a reader that is gone is no reason to stop.
        let _ = fd::write_all(fd::STDOUT, format!("{local_port}\n").as_bytes());
    }
    fd::occupy(0);
    fd::occupy(1);
    voice.tell(&[format!("status: 0/{}", config.limit).as_bytes()]);

    let mut complaint = Vec::new();
    if voice.verbosity > crate::cli::Verbosity::Quiet {
        complaint = voice.line(&[DROPPING, b"unable to run ", &config.program[0], b": "]);
        complaint.pop();
    }
    let complaint = Complaint {
        line: complaint,
        reason: words,
        status: FAILED,
    };
    let limits = descriptors(&config, voice);
    let mask = inherited.without(Signal::SIGCHLD);
    let spawner = Spawner::new(program, mask, limits, complaint).during("get memory")?;
    let rules = config.rules.as_deref().map(|file| {
        RefCell::new(Rules::new(
            OsStr::from_bytes(file).into(),
            config.rules_may_be_missing,
        ))
    });
    let server = Rc::new(Server {
        voice,
        local_address: listener.address,
        local_port,
        resolver,
        rules,
        children: Children::new(spawner),
        environment: process::environment(),
        slots: Slots::new(config.limit),
        undecided: Count::default(),
        number: Cell::new(0),
        config,
    });
    tasks.block_on(&runtime, server.serve(listener))
}

/// The address to bind for the host operand; `0` and nothing are any address.
async fn local_ip(host: &[u8], resolver: &Resolver) -> Result<IpAddr, Error> {
    let operand = if host.is_empty() || host == b"0" {
        b"0.0.0.0"
    } else {
        host
    };
    // At least one, in random order.
    Ok(host::addresses(operand, host, resolver).await?[0])
}

/// What a connection holds while it is looked up: itself, two questions, an ident connection.
const DESCRIPTORS_PER_CONNECTION: u64 = 4;
/// What the server itself holds, amply.
const DESCRIPTORS_OF_SERVER: u64 = 32;

/// Makes room for connections that wait, and gives the limits to put back for the programs. A connection that is served
/// at once holds a descriptor for a moment only, and nothing is changed for that.
fn descriptors(config: &Config, voice: Voice) -> Option<Descriptors> {
    if !config.lookups.are_needed() && config.banner.is_empty() {
        return None;
    }
    let inherited = Descriptors::now().ok()?;
    let needed = u64::from(config.limit) * DESCRIPTORS_PER_CONNECTION + DESCRIPTORS_OF_SERVER;
    if needed <= inherited.soft {
        return None;
    }
    let is_raised = inherited.soft < inherited.hard && inherited.raise().is_ok();
    let now = if is_raised {
        inherited.hard
    } else {
        inherited.soft
    };
    if needed > now {
        let warning = format!(
            "warning: {now} descriptors may not be enough for {} connections that wait for look-ups",
            config.limit
        );
        voice.warn(&[warning.as_bytes()]);
    }
    is_raised.then_some(inherited)
}

/// What all connections of a server share.
pub(super) struct Server {
    pub(super) config: Config,
    pub(super) voice: Voice,
    pub(super) local_port: String,
    pub(super) resolver: Resolver,
    pub(super) children: Children,
    /// What was inherited.
    pub(super) environment: Vec<CString>,
    /// Connections whose program does not run yet.
    pub(super) undecided: Count,
    local_address: SocketAddr,
    rules: Option<RefCell<Rules>>,
    slots: Slots,
    /// Connections that no process served, so far.
    number: Cell<i32>,
}

/// No process id is larger. PID_MAX_LIMIT, proc(5) under /proc/sys/kernel/pid_max.
const PID_MAX: i32 = 1 << 22;

impl Server {
    /// Accepts until SIGTERM; then closes the listener at once and returns when the connections that are still being
    /// decided have their program, or at the second SIGTERM. Programs that run go on.
    async fn serve(self: Rc<Self>, listener: Listener) -> Result<(), Error> {
        let events = Events::of(&[Signal::SIGCHLD, Signal::SIGTERM])
            .and_then(watch::readable)
            .during("start")?;
        let mut acceptor = listener.watch().during("start")?;
        tokio::select! {
            () = self.accept(&mut acceptor) => {}
            () = self.until_terminated(&events) => {}
        }
        drop(acceptor);
        tokio::select! {
            () = self.undecided.below(1) => {}
            () = self.until_terminated(&events) => {}
            () = tokio::time::sleep(self.config.lookups.limit()) => {}
        }
        Ok(())
    }

    /// The accept loop: a slot, a connection, a task for it.
    async fn accept(self: &Rc<Self>, acceptor: &mut Acceptor) {
        loop {
            self.slots.free().await;
            let (connection, peer) = acceptor.accept(self.voice, || self.slots.freed()).await;
            let server = Rc::clone(self);
            tokio::task::spawn_local(async move {
                let slot = server.slots.take();
                server.tell_status();
                connection::serve(&server, connection, peer).await;
                drop(slot);
                server.tell_status();
            });
            // The connection goes first: its program starts before the next one is accepted.
            yield_once().await;
        }
    }

    /// Reaps children until SIGTERM.
    async fn until_terminated(&self, events: &AsyncFd<Events>) {
        loop {
            let Ok(mut ready) = events.readable().await else {
                return;
            };
            while let Ok(Some(signal)) = events.get_ref().next() {
                match signal {
                    libc::SIGTERM => return,
                    _ => self.children.reap(),
                }
            }
            ready.clear_ready();
        }
    }

    fn tell_status(&self) {
        self.voice
            .tell(&[format!("status: {}/{}", self.slots.taken(), self.slots.limit).as_bytes()]);
    }

    /// The address at which `connection` came in.
    pub(super) fn local_address(&self, connection: &OwnedFd) -> io::Result<SocketAddr> {
        if self.local_address.ip().is_unspecified() {
            socket::local_address(connection)
        } else {
            Ok(self.local_address)
        }
    }

    /// What the rules say about a connection.
    ///
    /// # Errors
    /// The rules cannot be read: the file and why.
    pub(super) fn verdict(&self, facts: &Facts<'_>) -> Result<Verdict, (Vec<u8>, io::Error)> {
        let Some(rules) = &self.rules else {
            return Ok(Verdict::default());
        };
        let peer = Peer {
            ip: facts.remote_ip,
            host: facts.remote_host,
            info: facts.remote_info,
        };
        let mut rules = rules.borrow_mut();
        let verdict = rules.verdict(peer);
        verdict.map_err(|error| (rules.path().as_os_str().as_bytes().to_vec(), error))
    }

    /// A number for a connection that no process serves; no process has it.
    pub(super) fn next_number(&self) -> i32 {
        let number = (self.number.get() + 1) % (i32::MAX - PID_MAX);
        self.number.set(number);
        PID_MAX + number
    }
}

/// Lets the tasks that are ready run, without asking the kernel for events.
async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
