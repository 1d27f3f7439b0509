//! The entrance: what all servers have alike that let guests in by the `gate`, whatever they do with them
//! then. It is one part of their command lines, and what is set up from it before the first connection.

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::rc::Rc;

use super::account::Account;
use super::gate::{self, Gate};
use super::host::Reading;
use super::log::Log;
use super::names::Lookups;
use super::port;
use super::upgrade::{Before, Kept};
use crate::cli::{Arguments, During, Error, Format, Group, Opt, Verbosity, Voice, group};
use crate::dns::Resolver;
use crate::service::control::{Answers, Control};
use crate::service::{
    Appetite, Drain, Given, List, Listener, Listening, Overload, Room, Service, SourceTerms, Start,
    State, Supervisor, Terms,
};
use crate::sys::signal::Mask;

/// Where to listen, for whom, and who may come in.
#[derive(Clone, Debug, Default)]
pub struct Entrance {
    /// Where to listen: an address, a name, `0`, `::` or `:0`.
    pub host: Vec<u8>,
    /// The port to bind; 0 for any free one.
    pub port: u16,
    /// How addresses are to be understood, and shown.
    pub reading: Reading,
    /// The port.
    pub listening: Listening,
    /// Who to become once the port is bound.
    pub account: Account,
    /// What is done to a connection before it is served.
    pub gate: gate::Terms,
    /// What its source may do.
    pub sources: SourceTerms,
    /// What is looked up about it.
    pub lookups: Lookups,
    /// What to do with connections at SIGTERM, where it is given.
    pub drain: Option<Drain>,
    /// Where to listen for who asks how the server is.
    pub control: Option<PathBuf>,
}

const IDENT_TIMEOUT: &[Opt<Lookups>] = &[Lookups::ident_timeout("timeout")];

impl Entrance {
    /// Takes all options, those of `own` too, and the operands `host port`.
    ///
    /// # Errors
    /// Usage, 100: an option is wrong, or an operand is missing or wrong.
    pub fn take(
        &mut self,
        arguments: &mut Arguments,
        voice: &mut Voice,
        own: &mut dyn Group,
    ) -> Result<(), Error> {
        self.take_options(arguments, voice, own, true)
    }

    /// As [`Self::take`], for a server that answers nobody who asks how it is, and whose log is text.
    ///
    /// # Errors
    /// Usage, 100: an option is wrong, or an operand is missing or wrong.
    pub fn take_quietly(
        &mut self,
        arguments: &mut Arguments,
        voice: &mut Voice,
        own: &mut dyn Group,
    ) -> Result<(), Error> {
        self.take_options(arguments, voice, own, false)
    }

    fn take_options(
        &mut self,
        arguments: &mut Arguments,
        voice: &mut Voice,
        own: &mut dyn Group,
        answers: bool,
    ) -> Result<(), Error> {
        let (mut verbosity, mut format) = (voice.verbosity, voice.format);
        let mut common: [&mut dyn Group; 6] = [
            &mut group(&[Reading::OPTIONS], &mut self.reading),
            &mut group(&[Listening::OPTIONS], &mut self.listening),
            &mut group(&[Account::OPTIONS], &mut self.account),
            &mut group(&[gate::Terms::OPTIONS], &mut self.gate),
            &mut group(&[SourceTerms::OPTIONS], &mut self.sources),
            &mut group(
                &[Lookups::PARANOID, Lookups::OPTIONS, IDENT_TIMEOUT],
                &mut self.lookups,
            ),
        ];
        let drain = &mut group(&[Drain::OPTIONS], &mut self.drain);
        let control = &mut group(&[Control::OPTIONS], &mut self.control);
        if answers {
            arguments.options(&mut [
                &mut common,
                own,
                drain,
                control,
                &mut group(&[Verbosity::OPTIONS], &mut verbosity),
                &mut group(&[Format::OPTIONS], &mut format),
            ])?;
        } else {
            arguments.options(&mut [
                &mut common,
                own,
                drain,
                &mut group(&[Verbosity::OPTIONS], &mut verbosity),
            ])?;
        }
        (voice.verbosity, voice.format) = (verbosity, format);
        self.host = arguments.operand().ok_or_else(Error::usage)?;
        self.port = port::port(&arguments.operand().ok_or_else(Error::usage)?)?;
        Ok(())
    }
}

/// An entrance before which connections wait already.
pub(crate) struct Door {
    entrance: Entrance,
    resolver: Resolver,
    control: Option<Control>,
    room: Room,
    listeners: Vec<Listener>,
    given: Given,
    before: Option<Before>,
    voice: Voice,
}

/// All that lets guests in, and keeps count of them.
pub(crate) struct Admission {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) service: Rc<Service>,
    pub(crate) gate: Gate,
    pub(crate) log: Log,
    /// Connections of the version before, packed, if this one goes on with them.
    pub(crate) connections: Option<Vec<u8>>,
    /// Who wants to know that all of this serves.
    pub(crate) supervisor: Supervisor,
}

impl Door {
    /// Binds the control socket and the port, and gives up privileges. In a box, for it goes through the frames of many
    /// callers, and a page of the stack that was used once stays.
    ///
    /// # Errors
    /// Whatever keeps a server from starting: 100 for a wrong host, 111 otherwise, with the original's messages. 0, in
    /// silence: this was a trial, and it could serve.
    pub(crate) fn open(
        mut entrance: Entrance,
        mut given: Given,
        start: &Start,
        appetite: Appetite,
        voice: Voice,
    ) -> Result<Box<Self>, Error> {
        let resolver = Resolver::new(entrance.lookups.limit());
        let before = given.state();
        let before = before.map(|state| Before::unpack(&state.rest, &entrance.sources));
        let before = before.transpose()?;
        let mut places = Vec::new();
        if before.is_none() {
            let Entrance {
                host,
                port,
                listening,
                ..
            } = &entrance;
            let all = entrance
                .reading
                .places(host, *port, &listening.also, &resolver);
            places = start.wait(all)?;
        }
        // Before the port: who starts, can serve.
        let memory = resolver.clone();
        let room = Room::new(appetite, move || memory.forget())?;
        given.end_trial()?;
        let privileges = entrance.account.privileges();
        let control = entrance.control.take();
        let control = control.map(|path| given.control(path, privileges));
        let control = control.transpose()?;
        let listeners = start.listen(&places, &entrance.listening, &mut given, privileges)?;
        Ok(Box::new(Self {
            entrance,
            resolver,
            control,
            room,
            listeners,
            given,
            before,
            voice,
        }))
    }

    /// What the next version of the program gets: descriptors, and what is known of them. `mask` is the signal mask that
    /// this one was started with.
    ///
    /// # Errors
    /// 111: no more descriptors.
    pub(crate) fn keep(&self, mask: Mask) -> Result<Kept, Error> {
        let mut kept = Vec::new();
        for listener in &self.listeners {
            kept.push(listener.copy().during("get a descriptor")?);
        }
        let control = self.control.as_ref().map(Control::copy).transpose()?;
        let state = State {
            mask,
            listeners: kept.iter().map(AsRawFd::as_raw_fd).collect(),
            control: control.as_ref().map(AsRawFd::as_raw_fd),
            limit: self.entrance.listening.limit,
            rest: Vec::new(),
        };
        kept.extend(control);
        Ok((state, kept))
    }

    /// Within the runtime: makes all that lets guests in, and answers who asks how the server is. `drain` is what to do
    /// with connections at SIGTERM.
    ///
    /// # Errors
    /// 111: the runtime cannot watch the control socket.
    pub(crate) fn begin(self: Box<Self>, drain: Option<Drain>) -> Result<Admission, Error> {
        let Self {
            entrance,
            resolver,
            control,
            room,
            listeners,
            given,
            before,
            voice,
        } = *self;
        let terms = Terms {
            // As somebody has set it meanwhile.
            limit: given
                .state()
                .map_or(entrance.listening.limit, |state| state.limit),
            rate: entrance.listening.rate,
            decision: entrance.gate.limit(&entrance.lookups),
            drain,
            overload: Overload::Queue,
        };
        let as_ipv6 = entrance.reading.as_ipv6;
        let service = match &before {
            None => Service::new(voice, terms, room),
            Some(_) => Service::continued(voice, terms, room),
        };
        let mut gate = Gate::new(
            entrance.gate,
            entrance.sources,
            entrance.lookups,
            as_ipv6,
            resolver,
            Listener::common_address(&listeners),
        );
        let mut log = Log::new(voice, as_ipv6);
        let connections = before.map(|before| before.go_on(&mut log, &mut gate));
        if let Some(control) = control {
            let list = List::default();
            log = log.with_list(list.clone());
            control.answer(Answers {
                name: voice.name(),
                address: Listener::addresses(&listeners),
                service: Rc::clone(&service),
                tally: log.tally(),
                list,
                sources: gate.count_sources(),
            })?;
        }
        Ok(Admission {
            listeners,
            service,
            gate,
            log,
            connections,
            supervisor: given.supervisor,
        })
    }
}
