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
use crate::service::{
    Drain, List, Listening, Overload, Room, Service, SourceTerms, Start, Terms, make_room,
};
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
    let room = Room::new(config.lookups.appetite(), move || memory.forget())?;
    let listener = start.listen(place, &config.listening, privileges)?;
    let terms = Terms {
        limit: config.listening.limit,
        rate: config.listening.rate,
        decision: config.lookups.limit(),
        drain: config.drain,
        overload: Overload::Queue,
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
        let ending = Rc::clone(&server);
        service.at_the_end(move || {
            ending.log.end_all();
            ending.children.tidy();
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

/// What a connection holds while it is looked up: itself, two questions, an ident connection.
const DESCRIPTORS_PER_CONNECTION: u64 = 4;

/// Makes room for the server, and for connections that wait. A connection that is served at once holds a descriptor for a
/// moment only, and needs no room but that.
fn descriptors(config: &Config, voice: Voice) -> Result<Option<Descriptors>, Error> {
    let waits = config.lookups.are_needed() || !config.gate.banner.is_empty();
    let each = if waits { DESCRIPTORS_PER_CONNECTION } else { 1 };
    let least = u64::from(config.gate.rules.is_some()) + each;
    let limit = config.listening.limit;
    let ample = if waits { u64::from(limit) * each } else { 0 };
    let whom = format!("{limit} connections that wait for look-ups");
    make_room(least, ample, &whom, voice)
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
