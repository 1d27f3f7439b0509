//! tcprelay: what is set up once, in order, before the first connection; and what signals do later.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::pending;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::carriers::Carriers;
use super::check::{self, Checking};
use super::connection::{Current, Relay, serve};
use super::daemon;
use super::filed::Filed;
use super::log::Log;
use super::names::placed;
use super::plan::Plan;
use super::remotes::Remotes;
use super::retire::{self, Retired};
use super::source::Source;
use super::trial::Trials;
use crate::cli::{Arguments, During, Error, Verbosity, Voice};
use crate::dns::Resolver;
use crate::service::{
    Drain, Given, Listener, Manner, Open, Place, Privileges, Room, Service, Signals, Stage, Start,
    Terms, make_room, own_file,
};
use crate::sys::signal::{Mask, Signal};
use crate::sys::{fd, process, socket};
use crate::tls::between::{CLIENT_BYTES, Entry, Outward};
use crate::ucspi::gate::Gate;
use crate::ucspi::log;

/// Takes the operands of the file form, and relays as the file says.
///
/// # Errors
/// Usage, 100: there are not one or two operands. 0: the version was printed. Else those of [`run`].
pub fn run_file(
    mut filed: Filed,
    arguments: &mut Arguments,
    voice: &mut Voice,
) -> Result<(), Error> {
    if filed.is_version {
        return Err(arguments.version());
    }
    filed.file = arguments.operand().ok_or_else(Error::usage)?;
    if let Some(id) = arguments.operand() {
        filed.sections.master = id;
    }
    if arguments.operand().is_some() {
        return Err(Error::usage());
    }
    if filed.is_debug {
        voice.verbosity = Verbosity::Everything;
    }
    filed.settle();
    run(Source::File(Box::new(filed)), *voice)
}

/// Relays until SIGTERM; only looks whether it could, if that was asked for.
///
/// # Errors
/// Whatever keeps the relay from starting: 100 for a wrong operand, 78 for a wrong file, 111 otherwise.
pub fn run(source: Source, voice: Voice) -> Result<(), Error> {
    // First: its folder may be another soon, and its name lead elsewhere.
    let file = own_file(retire::is_next());
    let plan = source.plan()?;
    let entrance = &plan.entrance;
    let mut inherited = retire::inherited();
    let is_continued = !inherited.is_empty();
    if plan.daemon.given.is_some() {
        let given = fd::STDIN.try_clone_to_owned();
        let given = given.during("inherit a socket")?;
        fd::set_nonblocking(&given).during("inherit a socket")?;
        inherited.push(given);
    }
    let mut listening = entrance.listening.clone();
    if is_continued {
        // Whoever replaces a process has got all of it, and its readiness is known.
        (listening.inherit, listening.notify_fd) = (false, None);
    }
    let mut given = Given::take(&listening, voice)?;
    // A trial is of a process that has begun so.
    if !plan.is_check && !given.is_trial() {
        daemon::begin(&plan.daemon, is_continued)?;
    }
    // While it may read what others may not, and before there is a runtime.
    let inward = plan.inward(voice)?.map(Rc::new);
    let outward = plan.outward()?;
    // Once: who only tries does not serve.
    if plan.tls.trusts_everybody() && !given.is_trial() {
        voice.warn(&[b"warning: --no-verify: remotes may be anybody"]);
    }
    let start = Start::new(&NEWS, given.mask().or_else(retire::mask), voice)?;
    let resolver = Resolver::new(entrance.lookups.limit());
    let remotes = Remotes::new(&plan.remotes, &plan.terms, &resolver, None);
    let remotes = start.wait(remotes)?;
    let places = start.wait(places(&plan, &resolver))?;
    if plan.is_check {
        for note in &plan.notes {
            voice.warn_here(&[note]);
        }
        return Ok(());
    }
    // A session has two sockets; one for which names are looked up has four descriptors.
    let limit = entrance.listening.limit;
    let limits = make_room(4, u64::from(limit) * 2, &format!("{limit} sessions"), voice)?;
    let memory = resolver.clone();
    let mut appetite = entrance.gate.appetite(&entrance.lookups);
    let handshakes = usize::from(inward.is_some()) + usize::from(plan.meets_tls());
    appetite.undecided += handshakes * CLIENT_BYTES;
    let room = Room::new(appetite, move || memory.forget())?;
    given.end_trial()?;
    let mut listeners = Vec::new();
    let mut waiting = Vec::new();
    let mut failures = Vec::new();
    let entries = entries(&places);
    let all: Vec<Place> = places.iter().map(|wanted| wanted.place.clone()).collect();
    let mut handed = given.listeners(&all)?.into_iter().flatten();
    for wanted in places {
        if let Some(listener) = handed.next() {
            listeners.push((wanted.place, listener));
            continue;
        }
        let bound = match retire::take(&mut inherited, &wanted.place) {
            Some(socket) => Ok(Listener::from_inherited(socket)),
            None => wanted.bound(|place, manner| start.bind(place, manner)),
        };
        match bound {
            Ok(listener) => listeners.push((wanted.place, listener)),
            Err(error) if plan.daemon.bears_failures || is_continued => {
                failures.push(error);
                waiting.extend(wanted.waits());
            }
            Err(error) => return Err(error),
        }
    }
    drop(inherited);
    let is_in_vain = listeners.is_empty() && waiting.is_empty();
    let fatal = is_in_vain.then(|| failures.pop()).flatten();
    for error in &failures {
        voice.warn(&[b"warning: ", error.text()]);
    }
    if let Some(error) = fatal {
        return Err(error);
    }
    if is_continued {
        // Who it became, and to whom it told its port, is as it was.
        start.settle(Privileges::default(), None)?;
    } else {
        let port = listeners.first().map(|(_, it)| it.address.port());
        let print = port.filter(|_| entrance.listening.print_port);
        start.settle(entrance.account.privileges(), print)?;
    }
    let log = Log(voice);
    let terms = Terms {
        limit: entrance.listening.limit,
        rate: entrance.listening.rate,
        decision: entrance.gate.limit(&entrance.lookups),
        // Sessions are all that a relay has: they are waited for, without a limit if none was given.
        drain: Some(entrance.drain.unwrap_or(Drain {
            wait: Duration::MAX,
            kill: None,
        })),
        overload: plan.terms.overload,
    };
    let trials = Trials::new(file.clone(), start.inherited, limits);
    // A reload that is asked for while the process is replaced must wait for the new one, not kill it. A signal that ends it
    // may not be blocked: it would stay so.
    let mask = start.inherited;
    start.serve(|stop| async move {
        let entrance = &plan.entrance;
        let as_ipv6 = entrance.reading.as_ipv6;
        let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut gate = Gate::new(
            entrance.gate.clone(),
            entrance.sources.clone(),
            entrance.lookups.clone(),
            as_ipv6,
            resolver.clone(),
            anywhere,
        );
        if entrance.gate.rules.is_some() {
            // A rule may limit them: RELAYMAX.
            gate.count_sources();
        }
        let relay = Rc::new(Relay {
            service: Service::new(voice, terms, room),
            gate,
            resolver,
            carriers: Carriers::start(plan.threads, log)?,
            log,
            refusals: log::Log::new(voice, as_ipv6),
            sessions: Cell::new(0),
            carried: Cell::new(0),
            retire: Notify::new(),
            current: RefCell::new(Rc::new(current(&plan, remotes, entries, outward))),
            inward,
        });
        let mut server = Server {
            source,
            file,
            mask,
            is_upgradable: plan.is_upgradable,
            trials,
            listeners: Vec::new(),
            waiting,
            pidfile: plan.daemon.pidfile.clone(),
            given: plan.daemon.given.clone(),
            checking: check::start(&relay, plan.check),
            relay,
        };
        for (place, listener) in listeners {
            server.open(place, listener)?;
        }
        server.relay.service.report_to(given.supervisor);
        server.run(stop).await
    })
}

/// The signals that a relay waits for besides those that end it.
const NEWS: [Signal; 4] = [
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCHLD,
];

/// What is in force from now on.
fn current(
    plan: &Plan,
    remotes: Remotes,
    entries: Vec<(Place, Entry)>,
    outward: Outward,
) -> Current {
    Current {
        terms: plan.terms,
        entries,
        outward,
        access: plan.access.clone(),
        idle: plan.idle,
        retire: plan.retire,
        remotes: Rc::new(remotes),
        routes: RefCell::new(HashMap::new()),
    }
}

/// A place to listen that was found, and how.
struct Wanted {
    place: Place,
    manner: Manner,
    entry: Entry,
    retry: Option<Duration>,
    /// `file:line`, where a configuration file has it.
    source: Option<Vec<u8>>,
}

impl Wanted {
    /// Binds it by `bind`.
    ///
    /// # Errors
    /// As those of `bind`, with its place in a file.
    fn bound(
        &self,
        bind: impl FnOnce(&Place, &Manner) -> Result<Listener, Error>,
    ) -> Result<Listener, Error> {
        let bound = bind(&self.place, &self.manner);
        bound.map_err(|error| placed(self.source.as_deref(), error))
    }

    /// It cannot be had now: when to try again, if ever.
    fn waits(self) -> Option<(Instant, Self)> {
        Some((Instant::now() + self.retry?, self))
    }
}

async fn places(plan: &Plan, resolver: &Resolver) -> Result<Vec<Wanted>, Error> {
    let mut places = Vec::new();
    for spot in &plan.spots {
        for place in spot.places(&plan.entrance.reading, resolver).await? {
            places.push(Wanted {
                place,
                manner: spot.manner.clone(),
                entry: spot.entry,
                retry: spot.retry,
                source: spot.source.clone(),
            });
        }
    }
    Ok(places)
}

/// How clients come in by each of them.
fn entries(places: &[Wanted]) -> Vec<(Place, Entry)> {
    let entries = places
        .iter()
        .map(|wanted| (wanted.place.clone(), wanted.entry));
    entries.collect()
}

/// A relay that runs.
struct Server {
    source: Source,
    /// The file of this program.
    file: Vec<u8>,
    /// SIGUSR2 replaces this process, if a trial says that it can be.
    is_upgradable: bool,
    trials: Trials,
    /// The signal mask that the first process was started with.
    mask: Mask,
    relay: Rc<Relay>,
    /// Each with a descriptor to hand over.
    listeners: Vec<(Place, OwnedFd, Open)>,
    /// Places that could not be had yet, and when to try again.
    waiting: Vec<(Instant, Wanted)>,
    /// What goes when it ends.
    pidfile: Option<Vec<u8>>,
    /// Which listener is of who started it; then SIGHUP ends it, too.
    given: Option<Place>,
    checking: Checking,
}

impl Server {
    fn open(&mut self, place: Place, listener: Listener) -> Result<(), Error> {
        let relay = Rc::clone(&self.relay);
        let copy = listener.copy().during("start")?;
        // Ours is so from the beginning; one that was handed over is from here on.
        let _ = socket::urgent_in_line(&copy);
        let by = Rc::new(place.clone());
        let serve = Rc::new(move |arrival| serve(Rc::clone(&relay), Rc::clone(&by), arrival));
        let open = self.relay.service.listen(listener, serve)?;
        self.listeners.push((place, copy, open));
        Ok(())
    }

    async fn run(mut self, mut stop: Rc<Signals>) -> Result<(), Error> {
        let news = Signals::of(&NEWS).during("start")?;
        let inward = self.relay.inward.clone();
        let mut keys = pin!(async {
            match inward {
                Some(inward) => inward.keep().await,
                None => pending().await,
            }
        });
        let drain = loop {
            let is_time = tokio::select! {
                error = &mut keys => return Err(error),
                drain = self.relay.service.told(&stop) => break drain,
                signals = news.next() => {
                    if self.given.is_some() && signals.contains(&Signal::SIGHUP) {
                        break self.relay.service.begin_to_end();
                    }
                    for signal in signals {
                        self.hear(signal).await;
                    }
                    false
                }
                () = sleep_until(self.next_try()), if !self.waiting.is_empty() => {
                    self.try_again()?;
                    false
                }
                () = self.relay.retire.notified(), if !self.trials.are_on() => {
                    // If it cannot be replaced, it is tried again after as many.
                    self.relay.carried.set(0);
                    // A trial has something else on descriptor 0.
                    let has_trial = self.given.is_none();
                    if has_trial {
                        self.trials.begin();
                    }
                    !has_trial
                }
                tried = self.trials.over() => match tried {
                    Ok(()) => true,
                    Err(why) => {
                        let text = [b"warning: not upgraded: ", why.as_bytes()].concat();
                        self.relay.log.say(&text);
                        false
                    }
                },
            };
            if is_time && self.retire() == Retired::Old {
                // The signals of a process that is no more are not ours.
                stop = Rc::new(Signals::of(&[Signal::SIGTERM]).during("go on")?);
                self.pidfile = None;
                self.relay.service.be_a_copy();
                break self.relay.service.begin_to_end();
            }
        };
        self.trials.give_up();
        for (_, copy, open) in self.listeners.drain(..) {
            drop(copy);
            open.close().await;
        }
        drop(self.checking);
        if let Some(pidfile) = &self.pidfile {
            daemon::end(pidfile);
        }
        let relay = Rc::clone(&self.relay);
        tokio::task::spawn_local(async move {
            relay.service.stages().reach(Stage::Ask).await;
            relay.carriers.end_all();
        });
        self.relay.service.leave(drain, &stop).await;
        Ok(())
    }

    async fn hear(&mut self, signal: Signal) {
        match signal {
            Signal::SIGHUP => {
                if let Some(inward) = &self.relay.inward {
                    inward.reload();
                }
                if let Err(error) = self.reload().await {
                    let voice = self.relay.log.0;
                    voice.warn_here(&[b"warning: nothing is changed: ", error.text()]);
                }
            }
            Signal::SIGUSR1 => {
                self.relay.current.borrow().remotes.tell(self.relay.log);
                if self.is_upgradable {
                    self.relay.carriers.tell();
                }
            }
            Signal::SIGUSR2 if self.is_upgradable => self.trials.begin(),
            Signal::SIGUSR2 => self.relay.carriers.tell(),
            // A trial, or who carries the sessions from before a retirement.
            _ => {
                while let Ok(Some((child, _))) = process::reap(None) {
                    self.trials.ended(child);
                }
            }
        }
    }

    /// Reads everything again, and puts it in force: as a whole, or not at all.
    async fn reload(&mut self) -> Result<(), Error> {
        let voice = self.relay.log.0;
        let plan = self.source.plan()?;
        plan.goes_on_with(self.relay.inward.as_deref())?;
        let old = Rc::clone(&self.relay.current.borrow());
        // A new memory: names may lead elsewhere by now.
        let resolver = Resolver::new(self.relay.resolver.limit());
        let remotes = Remotes::new(&plan.remotes, &plan.terms, &resolver, Some(&old.remotes));
        let remotes = remotes.await?;
        let places = places(&plan, &resolver).await?;
        let outward = plan.outward()?;
        let entries = entries(&places);
        let mut bound = Vec::new();
        let mut waiting = Vec::new();
        let wanted_places: Vec<Place> = places.iter().map(|wanted| wanted.place.clone()).collect();
        for wanted in places {
            if self.listeners.iter().any(|(old, ..)| *old == wanted.place) {
                continue;
            }
            match wanted.bound(|place, manner| Listener::bind(place, manner, voice)) {
                Ok(listener) => bound.push((wanted.place, listener)),
                Err(_) if wanted.retry.is_some() => waiting.extend(wanted.waits()),
                Err(error) => return Err(error),
            }
        }
        self.waiting = waiting;
        for (place, listener) in bound {
            self.open(place, listener)?;
        }
        for index in (0..self.listeners.len()).rev() {
            if !wanted_places.contains(&self.listeners[index].0) {
                let (_, copy, open) = self.listeners.swap_remove(index);
                drop(copy);
                open.close().await;
            }
        }
        self.relay
            .service
            .hold_to(plan.entrance.listening.limit, plan.terms.overload);
        let current = current(&plan, remotes, entries, outward);
        self.relay.current.replace(Rc::new(current));
        self.checking = check::start(&self.relay, plan.check);
        Ok(())
    }

    fn next_try(&self) -> Instant {
        let times = self.waiting.iter().map(|(at, _)| *at);
        times.min().unwrap_or_else(Instant::now)
    }

    /// Binds what could not be had before, as far as its time has come.
    fn try_again(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let all = std::mem::take(&mut self.waiting);
        let (due, later): (Vec<_>, _) = all.into_iter().partition(|(at, _)| *at <= now);
        self.waiting = later;
        for (_, wanted) in due {
            match Listener::bind(&wanted.place, &wanted.manner, self.relay.log.0) {
                Ok(listener) => self.open(wanted.place, listener)?,
                Err(_) => self.waiting.extend(wanted.waits()),
            }
        }
        Ok(())
    }

    /// Has a new process take over what is to come. A plan that is wrong by now keeps the old one.
    fn retire(&self) -> Retired {
        self.relay.carried.set(0);
        // What was descriptor 0 at the start of this process is that at the start of the new one.
        let is_given = |place: &Place| self.given.as_ref() == Some(place);
        let given = self.listeners.iter().find(|(place, ..)| is_given(place));
        if let Some((_, copy, _)) = given {
            let _ = fd::copy_to(copy.as_fd(), 0);
        }
        let retired = self.replace();
        if given.is_some() {
            fd::occupy(0);
        }
        retired
    }

    fn replace(&self) -> Retired {
        if let Err(error) = self.source.plan() {
            let text = [b"warning: not retiring: ", error.text()].concat();
            self.relay.log.say(&text);
            return Retired::Not;
        }
        let listeners: Vec<_> = self.listeners.iter().map(|(_, copy, _)| copy).collect();
        let (carriers, log) = (&self.relay.carriers, self.relay.log);
        retire::retire(carriers, &self.file, &listeners, self.mask, log)
    }
}
