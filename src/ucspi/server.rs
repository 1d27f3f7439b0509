//! tcpserver: what is set up once, in order, before the first connection.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use super::children::Children;
use super::connection::{self, Case, Server};
use super::entrance::{Admission, Door, Entrance};
use super::handover;
use super::layer::Layer;
use super::tree::Lifetime;
use super::upgrade;
use crate::cli::{During, Error, FAILED, Opt, Voice};
use crate::service::{Given, Start, Tasks, is_next, make_room, own_file};
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
    /// What only it has, with tlsserver.
    pub options: Options,
    /// At SIGUSR2, go on with the program that then is in the place of this one. Not with a layer: what that carries cannot be
    /// let go of.
    pub upgrade: bool,
    /// What stands between connections and programs. Here and no argument of its own: of an argument that is none in one
    /// place, the compiler takes the kind from the other, and links TLS into all servers.
    pub(crate) layer: Option<Rc<dyn Layer>>,
}

/// Options that only servers with a program for each connection have.
#[derive(Debug, Default)]
pub struct Options {
    /// How long a connection may last.
    max_time: Option<Duration>,
}

impl Options {
    /// The rows.
    pub const OPTIONS: &'static [Opt<Self>] = &[Opt::value(
        "max-time",
        "seconds",
        "send a program SIGTERM after this long, and SIGKILL as --kill says (5)",
        |it, value| {
            it.max_time = Some(value.seconds()?);
            Ok(())
        },
    )];
}

/// Listens, and serves connections until SIGTERM.
///
/// # Errors
/// Whatever keeps the server from starting: 100 for a wrong operand, 111 otherwise, with the original's messages; and what
/// a layer cannot go on after.
pub fn run(config: Config, voice: Voice) -> Result<(), Error> {
    let layer = config.layer;
    // First: when somebody knows that it serves, its name may lead elsewhere.
    let file = config.upgrade.then(|| own_file(is_next()));
    let given = Given::take(&config.entrance.listening, voice)?;
    let (Options { max_time }, upgrade) = (config.options, config.upgrade);
    let limits = descriptors(&config.entrance, layer.is_some(), upgrade, voice)?;
    let mut news = layer
        .as_ref()
        .map_or(&[][..], |layer| layer.signals())
        .to_vec();
    news.extend(upgrade.then_some(Signal::SIGUSR2));
    let start = Start::new(&news, given.mask(), voice)?;
    let mask = start.inherited;
    let drain = config.entrance.drain;
    let kill = drain.and_then(|drain| drain.kill);
    // What a program starts is ended with it.
    let ends = max_time.is_some() || kill.is_some();
    let spawner = spawner(&config.program, mask, limits)?.with_own_groups(ends);
    let lifetime = max_time.map(|time| Lifetime {
        time,
        patience: kill.unwrap_or(PATIENCE),
    });
    let entrance = &config.entrance;
    let mut appetite = entrance.gate.appetite(&entrance.lookups);
    appetite.undecided += layer.as_ref().map_or(0, |layer| layer.appetite());
    let environment = entrance.listening.environment();
    let door = Door::open(config.entrance, given, &start, appetite, voice)?;
    start.serve(|stop| async move {
        let children = Rc::new(Children::new(spawner, lifetime));
        children.reap_always().during("start")?;
        let kept = upgrade.then(|| door.keep(mask)).transpose()?;
        let Admission {
            listeners,
            service,
            gate,
            log,
            connections,
            supervisor,
        } = door.begin(drain)?;
        let server = Rc::new(Server {
            service: Rc::clone(&service),
            log,
            gate,
            children,
            environment: environment.into(),
            program: config.program[0].clone(),
            layer: layer.clone(),
            moved: RefCell::default(),
            tasks: Tasks::default(),
        });
        if let Some(connections) = connections {
            handover::go_on(&server, &connections);
        }
        if let (Some(file), Some(kept)) = (file, kept) {
            upgrade::always(&server, file, kept, limits)?;
        }
        let ending = Rc::clone(&server);
        service.at_the_end(move || {
            ending.log.end_all();
            ending.children.tidy();
        });
        let serve = move |arrival| connection::serve(Rc::clone(&server), Case::Arrived(arrival));
        service.report_to(supervisor);
        let serving = pin!(Rc::clone(&service).run(listeners, stop, serve));
        let Some(layer) = layer else {
            return serving.await;
        };
        tokio::select! {
            served = serving => served,
            error = layer.work() => {
                service.finish();
                Err(error)
            }
        }
    })
}

/// How long a program has to end that has lasted too long, when nothing is said.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a connection holds while it is looked up: itself, two questions, an ident connection.
const DESCRIPTORS_PER_CONNECTION: u64 = 4;

/// Makes room for the server, and for connections that wait. A connection that is served at once holds a descriptor for a
/// moment only, and needs no room but that.
fn descriptors(
    entrance: &Entrance,
    is_layered: bool,
    is_upgradable: bool,
    voice: Voice,
) -> Result<Option<Descriptors>, Error> {
    let waits = is_layered || entrance.lookups.are_needed() || entrance.gate.wait();
    let each = if waits { DESCRIPTORS_PER_CONNECTION } else { 1 };
    let listening = entrance.listening.descriptors();
    let least = u64::from(entrance.gate.rules.is_some()) + each + listening;
    let least = least
        + if is_upgradable {
            upgrade::descriptors_kept(listening)
        } else {
            0
        };
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
