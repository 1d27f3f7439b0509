//! tcppool, and iotcpd: what is set up once, in order, before the first connection; and their signals.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::client::READ;
use super::connection::{self, Case, Server};
use super::crew::Crew;
use super::options::Options;
use super::reports::{Reports, Style};
use super::upgrade;
use crate::cli::{During, Error, FAILED, Voice};
use crate::service::{Appetite, Drain, Given, Signals, Start, Tasks, is_next, make_room, own_file};
use crate::sys::exec::Program;
use crate::sys::limit::Descriptors;
use crate::sys::signal::{Mask, Signal};
use crate::sys::spawn::Spawner;
use crate::sys::{fd, process};
use crate::ucspi::children::Children;
use crate::ucspi::entrance::{Admission, Door, Entrance};
use crate::ucspi::upgrade::{always, descriptors_kept};

/// What the command line of tcppool, or of iotcpd, asks for.
#[derive(Debug, Default)]
pub struct Config {
    /// Where to listen, and for whom. At SIGTERM, queries have as long as one may take, where it does not say otherwise.
    pub entrance: Entrance,
    /// The program of the workers, its name first.
    pub program: Vec<Vec<u8>>,
    /// Workers and queries.
    pub pool: Options,
    /// How it answers to signals.
    pub style: Style,
    /// At SIGUSR2, go on with the program that then is in the place of this one.
    pub upgrade: bool,
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
pub fn run(config: Config, voice: Voice) -> Result<(), Error> {
    config.pool.check()?;
    // First: when somebody knows that it serves, its name may lead elsewhere.
    let file = config.upgrade.then(|| own_file(is_next()));
    let given = Given::take(&config.entrance.listening, voice)?;
    let (style, upgrade) = (config.style, config.upgrade);
    // Before anything of ours is open: what was inherited is not for workers either.
    fd::inherit_none();
    let reports = match style {
        Style::Tcppool => None,
        Style::Iotcpd => Some(fd::STDOUT.try_clone_to_owned().during("get a descriptor")?),
    };
    let signals = style.signals();
    let start = Start::new(signals, given.mask(), voice)?;
    let mask = start.inherited;
    let limits = descriptors(&config, voice)?;
    let spawner = spawner(&config, mask, limits)?;
    let is_successor = given.is_successor();
    let drain = config.entrance.drain.unwrap_or(Drain {
        wait: config.pool.busy(),
        kill: None,
    });
    let patience = drain.kill.unwrap_or(PATIENCE);
    let environment = config.entrance.listening.environment();
    let door = Door::open(config.entrance, given, &start, APPETITE, voice)?;
    start.serve(|stop| async move {
        let children = Rc::new(Children::new(spawner, None));
        children.reap_always().during("start")?;
        let crew = Crew::new(
            voice,
            config.pool.terms(patience),
            config.pool.protocol(),
            config.pool.tags_errors,
            children,
            environment,
        );
        if !is_successor {
            crew.begin(&config.program[0])?;
        }
        let kept = upgrade.then(|| door.keep(mask)).transpose()?;
        // Connections are let go at once; workers have their own time, below.
        let drain = Drain {
            wait: drain.wait,
            kill: Some(Duration::ZERO),
        };
        let Admission {
            listeners,
            service,
            gate,
            log,
            connections,
            supervisor,
        } = door.begin(Some(drain))?;
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
            moved: RefCell::default(),
            tasks: Tasks::default(),
        });
        if let Some(connections) = connections {
            upgrade::go_on(&server, &connections, &config.program[0])?;
        }
        let mut told = signals.to_vec();
        if let (Some(file), Some(kept)) = (file, kept) {
            always(&server, file, kept, limits)?;
            told.retain(|&signal| signal != Signal::SIGUSR2);
        }
        let reports = Reports::new(style, reports, voice, Rc::clone(&server), upgrade);
        let told = Signals::of(&told).during("start")?;
        let serve = move |arrival| connection::serve(Rc::clone(&server), Case::Arrived(arrival));
        service.report_to(supervisor);
        tokio::select! {
            ended = service.run(listeners, Rc::clone(&stop), serve) => ended?,
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

/// Makes room for the pool, its workers and its connections.
fn descriptors(config: &Config, voice: Voice) -> Result<Option<Descriptors>, Error> {
    let entrance = &config.entrance;
    let limit = entrance.listening.limit;
    let waits = entrance.lookups.are_needed();
    let each = if waits { DESCRIPTORS_PER_CONNECTION } else { 1 };
    let processes = config.pool.processes() as u64 * DESCRIPTORS_PER_WORKER;
    let listening = entrance.listening.descriptors();
    let least = u64::from(entrance.gate.rules.is_some()) + DESCRIPTORS_OF_POOL + each + listening;
    let least = least
        + if config.upgrade {
            descriptors_kept(listening)
        } else {
            0
        };
    let ample = u64::from(limit) * each + processes;
    let whom = format!("{limit} connections and their workers");
    make_room(least, ample, &whom, voice)
}

/// The way to make workers.
fn spawner(
    config: &Config,
    inherited: Mask,
    limits: Option<Descriptors>,
) -> Result<Spawner, Error> {
    let path = process::variable("PATH");
    let program = Program::new(&config.program[0], &config.program, path.as_deref());
    let mut mask = inherited.without(Signal::SIGCHLD);
    for &signal in config.style.signals() {
        mask = mask.without(signal);
    }
    Spawner::new(program, mask, limits, FAILED).during("get memory")
}
