//! tcpserver: what is set up once, in order, before the first connection.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::account::Account;
use super::children::Children;
use super::connection::{self, Server};
use super::gate::{self, Gate};
use super::host::Reading;
use super::log::Log;
use super::names::Lookups;
use super::tree::Lifetime;
use crate::cli::{During, Error, FAILED, Voice};
use crate::dns::Resolver;
use crate::service::control::{Answers, Control};
use crate::service::{Appetite, Drain, List, Listening, Room, Service, SourceTerms, Start, Terms};
use crate::sys::exec::Program;
use crate::sys::limit::Descriptors;
use crate::sys::process;
use crate::sys::signal::{Mask, Signal};
use crate::sys::spawn::Spawner;

/// What the command line of tcpserver asks for.
#[derive(Debug, Default)]
pub struct Config {
    /// Where to listen: an address, a name, `0`, `::` or `:0`.
    pub host: Vec<u8>,
    /// The port to bind; 0 for any free one.
    pub port: u16,
    /// The program to run, its name first.
    pub program: Vec<Vec<u8>>,
    /// How addresses are to be understood, and shown.
    pub reading: Reading,
    /// The port.
    pub listening: Listening,
    /// What is done to a connection before it is served.
    pub gate: gate::Terms,
    /// What its source may do.
    pub sources: SourceTerms,
    /// What is looked up about it.
    pub lookups: Lookups,
    /// What to do with running programs at SIGTERM; nothing is to let them go on and end.
    pub drain: Option<Drain>,
    /// How long a connection may last.
    pub max_time: Option<Duration>,
    /// Where to listen for who asks how the server is.
    pub control: Option<PathBuf>,
    /// Who to become once the port is bound.
    pub account: Account,
}

/// Listens, and serves connections until SIGTERM.
///
/// # Errors
/// Whatever keeps the server from starting: 100 for a wrong operand, 111 otherwise, with the original's messages.
pub fn run(mut config: Config, voice: Voice) -> Result<(), Error> {
    let limits = descriptors(&config, voice)?;
    let start = Start::new(&[], voice)?;
    let resolver = Resolver::new(config.lookups.limit());
    let place = config.reading.place(&config.host, config.port, &resolver);
    let place = start.wait(place)?;
    let privileges = config.account.privileges();
    let control = config.control.take();
    let control = control
        .map(|path| Control::bind(path, privileges))
        .transpose()?;
    let spawner = spawner(&config, start.inherited, limits)?;
    // Before the port: who starts, can serve.
    let memory = resolver.clone();
    let room = Room::new(appetite(&config), move || memory.forget())?;
    let listener = start.listen(place, &config.listening, privileges)?;
    let terms = Terms {
        limit: config.listening.limit,
        rate: config.listening.rate,
        decision: config.lookups.limit(),
        drain: config.drain,
    };
    let lifetime = config.max_time.map(|time| Lifetime {
        time,
        patience: kill(&config).unwrap_or(PATIENCE),
    });
    start.serve(|stop| async move {
        let children = Rc::new(Children::new(spawner, lifetime));
        children.reap_always().during("start")?;
        let service = Service::new(voice, terms, room);
        let mut gate = Gate::new(
            config.gate,
            config.sources,
            config.lookups,
            config.reading.as_ipv6,
            resolver,
            listener.address,
        );
        let mut log = Log::new(voice, config.reading.as_ipv6);
        if let Some(control) = control {
            let list = List::default();
            log = log.with_list(list.clone());
            control.answer(Answers {
                name: voice.name(),
                address: listener.address.to_string(),
                service: Rc::clone(&service),
                tally: log.tally(),
                list,
                sources: gate.count_sources(),
            })?;
        }
        let server = Rc::new(Server {
            service: Rc::clone(&service),
            log,
            gate,
            children: Rc::clone(&children),
            environment: process::environment(),
            program: config.program[0].clone(),
        });
        let serve = move |arrival| connection::serve(Rc::clone(&server), arrival);
        service.run(listener, stop, serve).await
    })
}

/// How long a program has to end that has lasted too long, when nothing is said.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a program has to end that was asked to.
fn kill(config: &Config) -> Option<Duration> {
    config.drain.and_then(|drain| drain.kill)
}

/// What connections take, amply: less than 1 KiB as long as they are open; with look-ups less than 7 while they wait for
/// answers, and one of 4 KiB may come over TCP for each.
fn appetite(config: &Config) -> Appetite {
    let kib = if config.lookups.are_needed() {
        [12, 6, 64]
    } else {
        [8, 1, 16]
    };
    let [arrival, undecided, reserve] = kib.map(|kib| kib * 1024);
    Appetite {
        arrival,
        undecided,
        reserve,
    }
}

/// What a connection holds while it is looked up: itself, two questions, an ident connection.
const DESCRIPTORS_PER_CONNECTION: u64 = 4;
/// What the server itself holds: the runtime's three, the signals twice, the listener. The rules are one more.
const DESCRIPTORS_OF_SERVER: u64 = 6;
/// The same, and what look-ups open for a moment, amply.
const DESCRIPTORS_AMPLY: u64 = 32;

/// Makes room for the server, and for connections that wait, and gives the limits to put back for the programs. A
/// connection that is served at once holds a descriptor for a moment only, and needs no room but that.
///
/// # Errors
/// 111: not even one connection could be served.
fn descriptors(config: &Config, voice: Voice) -> Result<Option<Descriptors>, Error> {
    let Ok(inherited) = Descriptors::now() else {
        return Ok(None);
    };
    let wait = config.lookups.are_needed() || !config.gate.banner.is_empty();
    let each = if wait { DESCRIPTORS_PER_CONNECTION } else { 1 };
    let least = DESCRIPTORS_OF_SERVER + u64::from(config.gate.rules.is_some()) + each;
    let ample = if wait {
        u64::from(config.listening.limit) * each + DESCRIPTORS_AMPLY
    } else {
        0
    };
    if ample <= inherited.soft && inherited.left(least) == least {
        return Ok(None);
    }
    let is_raised = inherited.soft < inherited.hard && inherited.raise().is_ok();
    let now = if is_raised {
        inherited.hard
    } else {
        inherited.soft
    };
    let counts = Descriptors {
        soft: now,
        ..inherited
    };
    let missing = least - counts.left(least);
    if missing > 0 {
        let needed = now + missing;
        return Err(Error::fatal(format!(
            "a limit of {now} descriptors is too small: {needed} are needed"
        )));
    }
    if ample > now {
        let limit = config.listening.limit;
        let warning = format!(
            "warning: {now} descriptors may not be enough for {limit} connections that wait for look-ups"
        );
        voice.warn(&[warning.as_bytes()]);
    }
    Ok(is_raised.then_some(inherited))
}

/// The way to make children.
fn spawner(
    config: &Config,
    inherited: Mask,
    limits: Option<Descriptors>,
) -> Result<Spawner, Error> {
    let name = &config.program[0];
    let path = process::variable("PATH");
    let program = Program::new(name, &config.program, path.as_deref());
    let mask = inherited.without(Signal::SIGCHLD);
    let spawner = Spawner::new(program, mask, limits, FAILED).during("get memory")?;
    // What a program starts is ended with it.
    let ends = config.max_time.is_some() || kill(config).is_some();
    Ok(spawner.with_own_groups(ends))
}
