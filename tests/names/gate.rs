//! A name server that waits for the test.

use std::sync::{Arc, Condvar, Mutex};

use super::NAME_SERVER;
use super::nameserver::{Act, NameServer};
use super::packet::Question;
use super::zone::Zone;
use crate::support::deadline;

/// Holds answers back until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().expect("nobody panics here") = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let is_open = self.0.0.lock().expect("nobody panics here");
        let waited = self
            .0
            .1
            .wait_timeout_while(is_open, deadline(), |is_open| !*is_open);
        drop(waited.expect("nobody panics here"));
    }

    /// A name server that answers `zone` once the gate is open.
    pub(crate) fn name_server(&self, zone: Zone) -> NameServer {
        let gate = self.clone();
        NameServer::scripted(NAME_SERVER, move |question: &Question, _| {
            gate.wait();
            vec![Act::Say(zone.answer(question).bytes())]
        })
    }
}
