//! What a pool lets go of when its next version comes: connections, and workers with what they are answering.
//!
//! Workers go on meanwhile, and so do their queries: all that is known of them is data, which the next version takes over.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;

use super::connection::{self, Case, Moved, Place, Server};
use super::errors::Source;
use super::queue::QueryId;
use super::session::Session;
use super::talk::Talk;
use super::worker::Pipes;
use crate::cli::Error;
use crate::service::{Packer, Service, Tasks, Unpacker};
use crate::sys::fd;
use crate::ucspi::children::Children;
use crate::ucspi::gate::Gate;
use crate::ucspi::log::Log;
use crate::ucspi::record::Record;
use crate::ucspi::upgrade::{self, Counts, Upgradable};

/// What was let go of.
#[derive(Default)]
pub(super) struct LetGo {
    connections: Vec<Moved>,
    /// What workers hold, who were not.
    workers: Vec<Pipes>,
    errors: Vec<Rc<Source>>,
}

impl Upgradable for Server {
    type Moved = LetGo;

    fn service(&self) -> &Rc<Service> {
        &self.service
    }

    fn log(&self) -> &Log {
        &self.log
    }

    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn children(&self) -> &Children {
        self.crew.children()
    }

    fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    fn take(&self) -> LetGo {
        let (workers, errors) = self.crew.open();
        LetGo {
            connections: self.moved.take(),
            workers,
            errors,
        }
    }

    fn pack(&self, to: &mut Packer, moved: &mut LetGo) {
        let mut talks = self.crew.queries();
        for moved in &moved.connections {
            if let Place::Session(session) = &moved.at
                && let Some(pending) = session.pending()
            {
                // The reply may be there, and not sent.
                talks.insert(pending.id, Rc::clone(&pending.talk));
            }
        }
        to.list(talks.iter(), |to, (&id, talk)| {
            to.number(id);
            talk.pack(to);
        });
        self.crew.pack(to);
        to.number(self.has_warned.get());
        to.list(moved.connections.iter(), |to, moved| moved.pack(to));
    }

    fn descriptors(moved: &LetGo) -> Vec<BorrowedFd<'_>> {
        let connections = moved.connections.iter().map(Moved::descriptor);
        let workers = moved.workers.iter().flat_map(Pipes::descriptors);
        let errors = moved.errors.iter().map(|source| source.descriptor());
        connections.chain(workers).chain(errors).collect()
    }

    fn go_on(self: &Rc<Self>, moved: LetGo) {
        for mut moved in moved.connections {
            let is_decided = matches!(moved.at, Place::Session(_));
            let counts = Counts::again(&**self, &mut moved.record, moved.counts, is_decided);
            let case = Case::Moved(Box::new((moved, counts)));
            tokio::task::spawn_local(connection::serve(Rc::clone(self), case));
        }
    }
}

impl Moved {
    fn pack(&self, to: &mut Packer) {
        self.record.pack(to);
        to.number(self.counts);
        match &self.at {
            Place::Gate(connection) => {
                to.number(0_u8);
                to.text(connection.as_raw_fd());
            }
            Place::Session(session) => {
                to.number(1_u8);
                session.pack(to);
            }
        }
    }

    fn unpack(
        from: &mut Unpacker<'_>,
        server: &Server,
        talks: &BTreeMap<QueryId, Rc<Talk>>,
    ) -> Option<Self> {
        let record = Record::unpack(from)?;
        let counts = from.flag()?;
        let at = if from.flag()? {
            let number = record.number?;
            let session = Session::unpack(from, number, &server.manners, talks)?;
            Place::Session(Box::new(session))
        } else {
            Place::Gate(fd::take_inherited(from.text()?).ok()?)
        };
        Some(Self { record, counts, at })
    }
}

/// Goes on with what the version before has let go of, `packed`; where workers cannot be taken over from there, with new ones
/// of the program called `name`.
///
/// # Errors
/// 111: the program cannot be run at all.
pub(super) fn go_on(server: &Rc<Server>, packed: &[u8], name: &[u8]) -> Result<(), Error> {
    let mut from = Unpacker::new(packed);
    let queries = (|| {
        let talks = from.list(|from| Some((from.number()?, Talk::unpack(from)?)))?;
        let talks = BTreeMap::from_iter(talks);
        server.crew.take_over(&mut from, &talks)?;
        Some(talks)
    })();
    if queries.is_none() {
        server.crew.begin(name)?;
    }
    let connections = queries.and_then(|talks| {
        server.has_warned.set(from.flag()?);
        from.list(|from| Moved::unpack(from, server, &talks))
    });
    let count = connections.as_ref().map(Vec::len);
    let moved = connections.map(|connections| LetGo {
        connections,
        ..LetGo::default()
    });
    upgrade::go_on(server, moved, count);
    Ok(())
}
