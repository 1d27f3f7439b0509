//! tcpserver: what is set up once, in order, before the first connection.

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::task::LocalSet;

use super::account::Account;
use super::children::Children;
use super::connection::DROPPING;
use super::host::Reading;
use super::listener::Listener;
use super::names::Lookups;
use super::service::Service;
use super::slots::Count;
use crate::cli::{During, Error, FAILED, Verbosity, Voice, words};
use crate::dns::Resolver;
use crate::rules::Rules;
use crate::sys::exec::Program;
use crate::sys::limit::Descriptors;
use crate::sys::signal::Mask;
use crate::sys::spawn::{Complaint, Spawner};
use crate::sys::{fd, privilege, process, signal};

/// What the command line of tcpserver asks for.
#[derive(Debug)]
pub struct Config {
    /// Where to listen: an address, a name, `0`, `::` or `:0`.
    pub host: Vec<u8>,
    /// The port to bind; 0 for any free one.
    pub port: u16,
    /// The program to run, its name first.
    pub program: Vec<Vec<u8>>,
    /// How the host is to be understood.
    pub reading: Reading,
    /// Show IPv4 connections as IPv6.
    pub as_ipv6: bool,
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
    /// What to do with running programs at SIGTERM; nothing is to let them go on and end.
    pub drain: Option<Drain>,
    /// Who to become once the port is bound.
    pub account: Account,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: Vec::new(),
            port: 0,
            program: Vec::new(),
            reading: Reading::default(),
            as_ipv6: false,
            limit: 40,
            backlog: 20,
            rules: None,
            rules_may_be_missing: false,
            banner: Vec::new(),
            clear_ip_options: true,
            no_delay: false,
            lookups: Lookups::default(),
            print_port: false,
            drain: None,
            account: Account::default(),
        }
    }
}

/// How a server ends that waits for its programs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drain {
    /// How long to wait for them.
    pub wait: Duration,
    /// Send SIGTERM to those that are left then, and SIGKILL after so long.
    pub kill: Option<Duration>,
}

/// Listens, and serves connections until SIGTERM.
///
/// # Errors
/// Whatever keeps the server from starting: 100 for a wrong operand, 111 otherwise, with the original's messages.
pub fn run(config: Config, voice: Voice) -> Result<(), Error> {
    // Also without another user: the program runs as we do, and must not get at the connections of others.
    process::keep_others_out().during("start")?;
    let inherited = take_signals().during("block signals")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .during("start")?;
    let tasks = LocalSet::new();
    let resolver = Resolver::new(config.lookups.limit());
    let place = config.reading.place(&config.host, config.port, &resolver);
    let place = tasks.block_on(&runtime, place)?;
    let listener = Listener::bind(place, config.backlog, voice)?;
    if let Some(gid) = config.account.gid() {
        privilege::set_group(gid).during("set gid")?;
    }
    if let Some(uid) = config.account.uid() {
        privilege::set_user(uid).during("set uid")?;
    }
    if config.print_port {
        let port = format!("{}\n", listener.address.port());
        // As in the original, a reader that is gone is no reason to stop.
        let _ = fd::write_all(fd::STDOUT, port.as_bytes());
    }
    fd::occupy(0);
    fd::occupy(1);
    let limits = descriptors(&config, voice);
    let spawner = spawner(&config, inherited, limits, voice)?;
    let rules = config.rules.as_deref().map(|file| {
        let path = OsStr::from_bytes(file).into();
        RefCell::new(Rules::new(path, config.rules_may_be_missing))
    });
    let service = Rc::new(Service {
        voice,
        resolver,
        children: Children::new(spawner),
        rules,
        address: listener.address,
        environment: process::environment(),
        open: Count::default(),
        undecided: Count::default(),
        refused: Cell::new(0),
        config,
    });
    service.tell_status();
    // As in the original, a SIGTERM that was blocked from the start stays so.
    let signals: &[Signal] = if inherited.has(Signal::SIGTERM) {
        &[Signal::SIGCHLD]
    } else {
        &[Signal::SIGCHLD, Signal::SIGTERM]
    };
    tasks.block_on(&runtime, service.run(listener, signals))
}

/// Makes the signals that the server waits for events, and gives the mask from before.
///
/// SIGPIPE is only blocked: a write that fails says so itself, and a program gets it back with its mask.
fn take_signals() -> std::io::Result<Mask> {
    for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGPIPE] {
        signal::set_default(signal);
    }
    signal::block(&[Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGPIPE])
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
        let limit = config.limit;
        let warning = format!(
            "warning: {now} descriptors may not be enough for {limit} connections that wait for look-ups"
        );
        voice.warn(&[warning.as_bytes()]);
    }
    is_raised.then_some(inherited)
}

/// The way to make children.
fn spawner(
    config: &Config,
    inherited: Mask,
    limits: Option<Descriptors>,
    voice: Voice,
) -> Result<Spawner, Error> {
    let name = &config.program[0];
    let path = process::variable("PATH");
    let program = Program::new(name, &config.program, path.as_deref());
    // The child adds the reason, and the line feed.
    let unable = |doing: &[&[u8]]| {
        let mut line = Vec::new();
        if voice.verbosity > Verbosity::Quiet {
            line = voice.line(&[&[DROPPING], doing, &[b": "]].concat());
            line.pop();
        }
        line
    };
    let complaint = Complaint {
        line: unable(&[b"run ", name]),
        descriptors: unable(&[b"set up descriptors"]),
        reason: words,
        status: FAILED,
    };
    let mask = inherited.without(Signal::SIGCHLD);
    Spawner::new(program, mask, limits, complaint).during("get memory")
}
