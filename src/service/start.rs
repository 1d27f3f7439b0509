//! How a service starts, in the one order that works: signals, the runtime, the port, privileges, the readers that wait
//! for the port, descriptors 0 and 1.

use std::rc::Rc;

use super::inherit::Given;
use super::listener::{Listener, Manner, Place};
use super::listening::{Listening, Privileges};
use super::signals::Signals;
use crate::cli::{During, Error, Voice};
use crate::sys::runtime::Runtime;
use crate::sys::signal::{Mask, Signal};
use crate::sys::{fd, privilege, process, signal};

/// A process that is about to serve.
pub(crate) struct Start {
    runtime: Runtime,
    /// The signals that end it.
    stop: Rc<Signals>,
    /// The signal mask from before.
    pub(crate) inherited: Mask,
    voice: Voice,
}

impl Start {
    /// Closes the process to others of its user, and takes over the signals that a server waits for: SIGTERM, SIGCHLD, and those in `also`. From here on they are
    /// events.
    ///
    /// `mask` is the one from the start, if another process has handed it over.
    ///
    /// SIGPIPE is only blocked: a write that fails says so itself, and a program gets it back with its mask. A SIGTERM that
    /// was blocked from the start stays so, as in the original. Process 1 ends at SIGINT too, which the kernel withholds
    /// from it otherwise: pid_namespaces(7).
    ///
    /// # Errors
    /// 111: no runtime.
    pub(crate) fn new(also: &[Signal], mask: Option<Mask>, voice: Voice) -> Result<Self, Error> {
        // Also without another user: a program that runs as we do must not get at the connections of others.
        process::keep_others_out().during("start")?;
        let mut ours = vec![Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGPIPE];
        ours.extend_from_slice(also);
        let mut stop = vec![Signal::SIGTERM];
        if process::id() == 1 {
            ours.push(Signal::SIGINT);
            stop.push(Signal::SIGINT);
        }
        for &signal in &ours {
            signal::set_default(signal);
        }
        let blocked = signal::block(&ours).during("block signals")?;
        // Those of the process before are still blocked, and what has come of them is kept.
        let inherited = mask.unwrap_or(blocked);
        stop.retain(|&signal| !inherited.has(signal));
        let runtime = Runtime::new().during("start")?;
        let stop = runtime.wait(async { Signals::of(&stop) }).during("start")?;
        stop.are_heard_beside_the_log();
        Ok(Self {
            runtime,
            stop: Rc::new(stop),
            inherited,
            voice,
        })
    }

    /// Waits for `work`, or for SIGTERM.
    ///
    /// # Errors
    /// 0, in silence: SIGTERM came first. Else those of `work`.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.runtime.wait(async {
            tokio::select! {
                done = work => done,
                _ = self.stop.next() => Err(Error::silent(0)),
            }
        })
    }

    /// Listens at `places`, gives up privileges, and lets go of descriptors 0 and 1. Nothing after this needs root.
    ///
    /// # Errors
    /// 111, with the original's messages. 100: the sockets that were handed over are others.
    pub(crate) fn listen(
        &self,
        places: &[Place],
        listening: &Listening,
        given: &mut Given,
        privileges: Privileges,
    ) -> Result<Vec<Listener>, Error> {
        let manner = Manner {
            backlog: listening.backlog,
            ..Manner::default()
        };
        let listeners = match given.listeners(places)? {
            Some(listeners) => listeners,
            None => {
                let bound = places.iter().map(|place| self.bind(place, &manner));
                bound.collect::<Result<Vec<_>, _>>()?
            }
        };
        if given.is_successor() {
            // Who it became, and to whom it told its port, is as it was.
            self.settle(Privileges::default(), None)?;
        } else {
            let port = listeners.first().map(|first| first.address.port());
            self.settle(privileges, port.filter(|_| listening.print_port))?;
        }
        Ok(listeners)
    }

    /// Listens at `place` in this manner.
    ///
    /// # Errors
    /// 111, with the original's messages.
    pub(crate) fn bind(&self, place: &Place, manner: &Manner) -> Result<Listener, Error> {
        Listener::bind(place, manner, self.voice)
    }

    /// Gives up privileges, prints the port `print`, and lets go of descriptors 0 and 1. Nothing after this needs root.
    ///
    /// # Errors
    /// 111, with the original's messages.
    pub(crate) fn settle(&self, privileges: Privileges, print: Option<u16>) -> Result<(), Error> {
        let Privileges { gid, uid } = privileges;
        if let Some(gid) = gid {
            privilege::set_group(gid).during("set gid")?;
        }
        if let Some(uid) = uid {
            privilege::set_user(uid).during("set uid")?;
        }
        if let Some(port) = print {
            print_port(port);
        }
        fd::occupy(0);
        fd::occupy(1);
        Ok(())
    }

    /// Runs `serving`, which makes a [`super::Service`] and runs it with the signals that end it. When that is done, the
    /// process ends with 0, at once: nobody has to take apart what it has.
    ///
    /// # Errors
    /// Those of `serving`.
    pub(crate) fn serve<F: Future<Output = Result<(), Error>>>(
        self,
        serving: impl FnOnce(Rc<Signals>) -> F,
    ) -> Result<(), Error> {
        self.runtime.wait(serving(self.stop))?;
        process::exit_now(0)
    }
}

fn print_port(port: u16) {
    // As in the original, a reader that is gone is no reason to stop.
    let _ = fd::write_all(fd::STDOUT, format!("{port}\n").as_bytes());
}
