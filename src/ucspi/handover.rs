//! What tcpserver lets go of when its next version comes: connections that wait at the gate, whose program runs, or of which
//! that has left something behind.

use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use super::children::Children;
use super::connection::{self, Case, Server};
use super::gate::Gate;
use super::log::Log;
use super::moved::{Moved, Place};
use super::upgrade::{self, Counts, Upgradable};
use crate::service::{Packer, Service, Tasks, Unpacker};

impl Upgradable for Server {
    type Moved = Vec<Moved>;

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
        &self.children
    }

    fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    fn take(&self) -> Self::Moved {
        self.moved.take()
    }

    fn pack(&self, to: &mut Packer, moved: &mut Self::Moved) {
        to.list(moved.iter_mut(), |to, moved| moved.pack(to));
    }

    fn descriptors(moved: &Self::Moved) -> Vec<BorrowedFd<'_>> {
        let waiting = moved.iter().filter_map(|moved| match &moved.at {
            Place::Gate(connection) => Some(connection.as_fd()),
            _ => None,
        });
        waiting.collect()
    }

    fn go_on(self: &Rc<Self>, moved: Self::Moved) {
        for mut moved in moved {
            let is_decided = !matches!(moved.at, Place::Gate(_));
            let counts = Counts::again(&**self, &mut moved.record, moved.counts, is_decided);
            let case = Case::Moved(Box::new((moved, counts)));
            tokio::task::spawn_local(connection::serve(Rc::clone(self), case));
        }
    }
}

/// Goes on with the connections that the version before has let go of.
pub(super) fn go_on(server: &Rc<Server>, connections: &[u8]) {
    let moved = Unpacker::new(connections).list(|from| Moved::unpack(from, &server.children));
    let count = moved.as_ref().map(Vec::len);
    upgrade::go_on(server, moved, count);
}
