//! tcpserver: what is set up once, in order, before the first connection.

use std::rc::Rc;
use std::time::Duration;

use super::children::Children;
use super::connection::{self, Server};
use super::entrance::{Admission, Door, Entrance};
use super::tree::Lifetime;
use crate::cli::{During, Error, FAILED, Voice};
use crate::service::{Start, make_room};
use crate::sys::exec::Program;
use crate::sys::limit::Descriptors;
use crate::sys::process;
use crate::sys::signal::{Mask, Signal};
use crate::sys::spawn::Spawner;

/// What the command line of tcpserver asks for.
#[derive(Debug, Default)]
pub struct Config {
    /// Where to listen, and for whom. At SIGTERM, running programs go on and end, where it does not say otherwise.
    pub entrance: Entrance,
    /// The program to run, its name first.
    pub program: Vec<Vec<u8>>,
    /// How long a connection may last.
    pub max_time: Option<Duration>,
}

/// Listens, and serves connections until SIGTERM.
///
/// # Errors
/// Whatever keeps the server from starting: 100 for a wrong operand, 111 otherwise, with the original's messages.
pub fn run(config: Config, voice: Voice) -> Result<(), Error> {
    let limits = descriptors(&config.entrance, voice)?;
    let start = Start::new(&[], voice)?;
    let drain = config.entrance.drain;
    let kill = drain.and_then(|drain| drain.kill);
    // What a program starts is ended with it.
    let ends = config.max_time.is_some() || kill.is_some();
    let spawner = spawner(&config.program, start.inherited, limits)?.with_own_groups(ends);
    let lifetime = config.max_time.map(|time| Lifetime {
        time,
        patience: kill.unwrap_or(PATIENCE),
    });
    let entrance = &config.entrance;
    let appetite = entrance.gate.appetite(&entrance.lookups);
    let door = Door::open(config.entrance, &start, appetite, voice)?;
    start.serve(|stop| async move {
        let children = Rc::new(Children::new(spawner, lifetime));
        children.reap_always().during("start")?;
        let Admission {
            listener,
            service,
            gate,
            log,
        } = door.begin(drain)?;
        let server = Rc::new(Server {
            service: Rc::clone(&service),
            log,
            gate,
            children,
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

/// What a connection holds while it is looked up: itself, two questions, an ident connection.
const DESCRIPTORS_PER_CONNECTION: u64 = 4;

/// Makes room for the server, and for connections that wait. A connection that is served at once holds a descriptor for a
/// moment only, and needs no room but that.
fn descriptors(entrance: &Entrance, voice: Voice) -> Result<Option<Descriptors>, Error> {
    let waits = entrance.lookups.are_needed() || entrance.gate.wait();
    let each = if waits { DESCRIPTORS_PER_CONNECTION } else { 1 };
    let least = u64::from(entrance.gate.rules.is_some()) + each;
    let limit = entrance.listening.limit;
    let ample = if waits { u64::from(limit) * each } else { 0 };
    let whom = format!("{limit} connections that wait for look-ups");
    make_room(least, ample, &whom, voice)
}

/// The way to make children.
fn spawner(
    program: &[Vec<u8>],
    inherited: Mask,
    limits: Option<Descriptors>,
) -> Result<Spawner, Error> {
    let path = process::variable("PATH");
    let program = Program::new(&program[0], program, path.as_deref());
    let mask = inherited.without(Signal::SIGCHLD);
    Spawner::new(program, mask, limits, FAILED).during("get memory")
}
