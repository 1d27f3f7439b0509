//! The entrance: what all servers have alike that let guests in by the `gate`, whatever they do with them
//! then. It is one part of their command lines, and what is set up from it before the first connection.

use std::path::PathBuf;
use std::rc::Rc;

use super::account::Account;
use super::gate::{self, Gate};
use super::host::Reading;
use super::log::Log;
use super::names::Lookups;
use super::port;
use crate::cli::{Arguments, Error, Format, Group, Opt, Verbosity, Voice, group};
use crate::dns::Resolver;
use crate::service::control::{Answers, Control};
use crate::service::{
    Appetite, Drain, List, Listener, Listening, Overload, Room, Service, SourceTerms, Start, Terms,
};

/// Where to listen, for whom, and who may come in.
#[derive(Debug, Default)]
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
        let (mut verbosity, mut format) = (voice.verbosity, voice.format);
        arguments.options(&mut [
            &mut group(&[Reading::OPTIONS], &mut self.reading),
            &mut group(&[Listening::OPTIONS], &mut self.listening),
            &mut group(&[Account::OPTIONS], &mut self.account),
            &mut group(&[gate::Terms::OPTIONS], &mut self.gate),
            &mut group(&[SourceTerms::OPTIONS], &mut self.sources),
            &mut group(
                &[Lookups::PARANOID, Lookups::OPTIONS, IDENT_TIMEOUT],
                &mut self.lookups,
            ),
            own,
            &mut group(&[Drain::OPTIONS], &mut self.drain),
            &mut group(&[Control::OPTIONS], &mut self.control),
            &mut group(&[Verbosity::OPTIONS], &mut verbosity),
            &mut group(&[Format::OPTIONS], &mut format),
        ])?;
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
    listener: Listener,
    voice: Voice,
}

/// All that lets guests in, and keeps count of them.
pub(crate) struct Admission {
    pub(crate) listener: Listener,
    pub(crate) service: Rc<Service>,
    pub(crate) gate: Gate,
    pub(crate) log: Log,
}

impl Door {
    /// Binds the control socket and the port, and gives up privileges.
    ///
    /// # Errors
    /// Whatever keeps a server from starting: 100 for a wrong host, 111 otherwise, with the original's messages.
    pub(crate) fn open(
        mut entrance: Entrance,
        start: &Start,
        appetite: Appetite,
        voice: Voice,
    ) -> Result<Self, Error> {
        let resolver = Resolver::new(entrance.lookups.limit());
        let place = entrance
            .reading
            .place(&entrance.host, entrance.port, &resolver);
        let place = start.wait(place)?;
        let privileges = entrance.account.privileges();
        let control = entrance.control.take();
        let control = control
            .map(|path| Control::bind(path, privileges))
            .transpose()?;
        // Before the port: who starts, can serve.
        let memory = resolver.clone();
        let room = Room::new(appetite, move || memory.forget())?;
        let listener = start.listen(place, &entrance.listening, privileges)?;
        Ok(Self {
            entrance,
            resolver,
            control,
            room,
            listener,
            voice,
        })
    }

    /// Within the runtime: makes all that lets guests in, and answers who asks how the server is. `drain` is what to do
    /// with connections at SIGTERM.
    ///
    /// # Errors
    /// 111: the runtime cannot watch the control socket.
    pub(crate) fn begin(self, drain: Option<Drain>) -> Result<Admission, Error> {
        let Self {
            entrance,
            resolver,
            control,
            room,
            listener,
            voice,
        } = self;
        let terms = Terms {
            limit: entrance.listening.limit,
            rate: entrance.listening.rate,
            decision: entrance.gate.limit(&entrance.lookups),
            drain,
            overload: Overload::Queue,
        };
        let as_ipv6 = entrance.reading.as_ipv6;
        let service = Service::new(voice, terms, room);
        let mut gate = Gate::new(
            entrance.gate,
            entrance.sources,
            entrance.lookups,
            as_ipv6,
            resolver,
            listener.address,
        );
        let mut log = Log::new(voice, as_ipv6);
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
        Ok(Admission {
            listener,
            service,
            gate,
            log,
        })
    }
}
