//! tcppool, and iotcpd: what is set up once, in order, before the first connection; and their signals.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::client::READ;
use super::connection::{self, Server};
use super::crew::Crew;
use super::options::Options;
use super::reports::{Reports, Style};
use crate::cli::{During, Error, FAILED, Voice};
use crate::dns::Resolver;
use crate::service::control::{Answers, Control};
use crate::service::{
    Appetite, Drain, List, Listening, Overload, Room, Service, Signals, SourceTerms, Start, Terms,
    make_room,
};
use crate::sys::exec::Program;
use crate::sys::signal::{Mask, Signal};
use crate::sys::spawn::Spawner;
use crate::sys::{fd, process};
use crate::ucspi::account::Account;
use crate::ucspi::children::Children;
use crate::ucspi::gate::{self, Gate};
use crate::ucspi::host::Reading;
use crate::ucspi::log::Log;
use crate::ucspi::names::Lookups;

/// What the command line of tcppool, or of iotcpd, asks for.
#[derive(Debug, Default)]
pub struct Config {
    /// Where to listen: an address, a name, `0`, `::` or `:0`.
    pub host: Vec<u8>,
    /// The port to bind; 0 for any free one.
    pub port: u16,
    /// The program of the workers, its name first.
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
    /// How to end; where it is not given, as long as a query may take.
    pub drain: Option<Drain>,
    /// Where to listen for who asks how the server is.
    pub control: Option<PathBuf>,
    /// Who to become once the port is bound.
    pub account: Account,
    /// Workers and queries.
    pub pool: Options,
    /// How it answers to signals.
    pub style: Style,
}

/// What connections take, amply: a kilobyte as long as they are open, 7 with look-ups, and a query of the usual limit, of
/// which few are there at once.
const APPETITE: Appetite = Appetite {
    arrival: 96 * 1024,
    undecided: 8 * 1024,
    reserve: 64 * 1024,
};

/// The time between one way to end a worker and the next, where `--kill` does not say.
const PATIENCE: Duration = Duration::from_secs(1);

/// Listens, and has queries answered until SIGTERM.
///
/// # Errors
/// Whatever keeps the server from starting: 100 for a wrong operand or option, 111 otherwise.
pub fn run(mut config: Config, voice: Voice) -> Result<(), Error> {
    config.pool.check()?;
    let style = config.style;
    // Before anything of ours is open: what was inherited is not for workers either.
    fd::inherit_none();
    let reports = match style {
        Style::Tcppool => None,
        Style::Iotcpd => Some(fd::STDOUT.try_clone_to_owned().during("get a descriptor")?),
    };
    let signals = style.signals();
    let start = Start::new(signals, voice)?;
    let resolver = Resolver::new(config.lookups.limit());
    let place = config.reading.place(&config.host, config.port, &resolver);
    let place = start.wait(place)?;
    let privileges = config.account.privileges();
    let control = config.control.take();
    let control = control
        .map(|path| Control::bind(path, privileges))
        .transpose()?;
    // Before the port: who starts, can serve.
    let memory = resolver.clone();
    let room = Room::new(APPETITE, move || memory.forget())?;
    let listener = start.listen(place, &config.listening, privileges)?;
    let spawner = spawner(&config, start.inherited, voice)?;
    let drain = config.drain.unwrap_or(Drain {
        wait: config.pool.busy(),
        kill: None,
    });
    let patience = drain.kill.unwrap_or(PATIENCE);
    let terms = Terms {
        limit: config.listening.limit,
        rate: config.listening.rate,
        decision: config.lookups.limit(),
        // Connections are let go at once; workers have their own time, below.
        drain: Some(Drain {
            wait: drain.wait,
            kill: Some(Duration::ZERO),
        }),
        overload: Overload::Queue,
    };
    start.serve(|stop| async move {
        let children = Rc::new(Children::new(spawner, None));
        children.reap_always().during("start")?;
        let crew = Crew::new(
            voice,
            config.pool.terms(patience),
            config.pool.protocol(),
            config.pool.tags_errors,
            children,
            process::environment(),
        );
        crew.begin(&config.program[0])?;
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
            gate,
            log,
            voice,
            crew: Rc::clone(&crew),
            manners: config.pool.manners(),
            room: RefCell::new(vec![0; READ]),
            clients: Cell::new(0),
            has_warned: Cell::new(false),
        });
        let told = Signals::of(signals).during("start")?;
        let reports = Reports::new(style, reports, voice, Rc::clone(&server));
        let serve = move |arrival| connection::serve(Rc::clone(&server), arrival);
        tokio::select! {
            ended = service.run(listener, Rc::clone(&stop), serve) => ended?,
            () = reports.answer(&told) => {}
        }
        // The clients have what they get. A second signal does not wait for the workers.
        tokio::select! {
            () = crew.close() => {}
            _ = stop.next() => {}
        }
        Ok(())
    })
}

/// What the pool itself holds: its signals, and one worker, while that is made.
const DESCRIPTORS_OF_POOL: u64 = 6;
/// What a connection holds that is looked up: itself, two questions, an ident connection.
const DESCRIPTORS_PER_CONNECTION: u64 = 4;
/// A worker's pipes.
const DESCRIPTORS_PER_WORKER: u64 = 3;

/// The way to make workers.
fn spawner(config: &Config, inherited: Mask, voice: Voice) -> Result<Spawner, Error> {
    let limit = config.listening.limit;
    let waits = config.lookups.are_needed();
    let each = if waits { DESCRIPTORS_PER_CONNECTION } else { 1 };
    let processes = config.pool.processes() as u64 * DESCRIPTORS_PER_WORKER;
    let least = u64::from(config.gate.rules.is_some()) + DESCRIPTORS_OF_POOL + each;
    let ample = u64::from(limit) * each + processes;
    let whom = format!("{limit} connections and their workers");
    let limits = make_room(least, ample, &whom, voice)?;
    let path = process::variable("PATH");
    let program = Program::new(&config.program[0], &config.program, path.as_deref());
    let mut mask = inherited.without(Signal::SIGCHLD);
    for &signal in config.style.signals() {
        mask = mask.without(signal);
    }
    Spawner::new(program, mask, limits, FAILED).during("get memory")
}
