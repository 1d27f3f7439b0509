//! Sockets that listen already, from who started us: systemd, s6, inetd, a parent.
//!
//! Source: sd_listen_fds(3) for `$LISTEN_FDS`, which counts descriptors from 3 on, is for the process `$LISTEN_PID` only, and
//! may name them in `$LISTEN_FDNAMES`; and the way of inetd's `wait` and of s6-fdholder: descriptor 0.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::control::Control;
use super::listener::{Listener, Place};
use super::listening::{Listening, Privileges};
use super::supervisor::Supervisor;
use super::upgrade::{self, Role, State};
use crate::cli::{During, Error, Voice, number};
use crate::sys::signal::Mask;
use crate::sys::{fd, process, socket};

/// The first descriptor of `$LISTEN_FDS`. SD_LISTEN_FDS_START
const FIRST: i32 = 3;

/// What who started us has given us besides operands.
#[derive(Debug)]
pub(crate) struct Given {
    /// Sockets that listen, where they were asked for.
    sockets: Option<Vec<Inherited>>,
    /// Who wants to know how it goes.
    pub(crate) supervisor: Supervisor,
    role: Role,
}

impl Given {
    /// Takes what `listening` asks for. To be called before anything of ours is open: the numbers of descriptors are
    /// somebody else's words.
    ///
    /// # Errors
    /// 111: it is not there.
    pub(crate) fn take(listening: &Listening, voice: Voice) -> Result<Self, Error> {
        let role = upgrade::role()?;
        let is_first = matches!(role, Role::First);
        Ok(Self {
            sockets: (listening.inherit && is_first).then(sockets).transpose()?,
            supervisor: match role {
                Role::Trial(_) => Supervisor::default(),
                // It has heard of it.
                Role::Successor(_) => Supervisor::new(listening, None, voice)?,
                Role::First => Supervisor::new(listening, listening.notify_fd, voice)?,
            },
            role,
        })
    }

    /// Called once this process could serve. A trial, which is to find out just that, says so.
    ///
    /// # Errors
    /// 0, in silence: this is a trial.
    pub(crate) fn end_trial(&self) -> Result<(), Error> {
        if let Role::Trial(_) = self.role {
            upgrade::say_ready();
            return Err(Error::silent(0));
        }
        Ok(())
    }

    /// True when this process only tries whether it could serve.
    pub(crate) fn is_trial(&self) -> bool {
        matches!(self.role, Role::Trial(_))
    }

    /// True when this process goes on with what another version of the program has left.
    pub(crate) fn is_successor(&self) -> bool {
        matches!(self.role, Role::Successor(_))
    }

    /// What the process before has left.
    pub(crate) fn state(&self) -> Option<&State> {
        match &self.role {
            Role::First => None,
            Role::Trial(state) | Role::Successor(state) => Some(state),
        }
    }

    /// The control socket `path`: the one of the process before, or a new one for whom `privileges` will make of us.
    ///
    /// # Errors
    /// 111: it cannot be had.
    pub(crate) fn control(&self, path: PathBuf, privileges: Privileges) -> Result<Control, Error> {
        match self.state().and_then(|state| state.control) {
            Some(number) => Control::continued(path, number),
            None => Control::bind(path, privileges),
        }
    }

    /// The signal mask that the first process was started with.
    pub(crate) fn mask(&self) -> Option<Mask> {
        self.state().map(|state| state.mask)
    }

    /// The listeners at `places`, if sockets were asked for.
    ///
    /// # Errors
    /// 100: they are not at these places, all of them and no more.
    pub(crate) fn listeners(&mut self, places: &[Place]) -> Result<Option<Vec<Listener>>, Error> {
        if let Role::Successor(state) = &self.role {
            let all = state.listeners.iter().map(|&number| {
                let socket = fd::take_inherited(number).during("go on listening")?;
                Ok(Listener::from_inherited(socket))
            });
            return all.collect::<Result<Vec<_>, Error>>().map(Some);
        }
        let sockets = self.sockets.take();
        sockets
            .map(|sockets| listeners(sockets, places))
            .transpose()
    }
}

fn listeners(mut all: Vec<Inherited>, places: &[Place]) -> Result<Vec<Listener>, Error> {
    let mut listeners = Vec::new();
    for place in places {
        let at = all.iter().position(|one| place.is_of(&one.socket));
        let Some(at) = at else {
            let there: Vec<String> = all.iter().map(Inherited::shown).collect();
            let there = there.join(", ");
            let text = format!("no inherited socket listens at {place}; they do at {there}");
            return Err(Error::operand(text));
        };
        let Inherited { socket, .. } = all.swap_remove(at);
        fd::set_nonblocking(&socket).during("inherit a socket")?;
        listeners.push(Listener::from_inherited(socket));
    }
    match all.first() {
        None => Ok(listeners),
        Some(one) => {
            let text = format!("nothing is said of the inherited socket at {}", one.shown());
            Err(Error::operand(text))
        }
    }
}

/// A socket that was handed over.
#[derive(Debug)]
struct Inherited {
    socket: OwnedFd,
    address: SocketAddr,
    /// What it is called, if it has a name.
    name: Option<String>,
}

impl Inherited {
    /// One that listens at an internet address; others are none that we could serve.
    fn of(socket: OwnedFd, name: Option<String>) -> Option<Self> {
        let address = socket::local_address(&socket).ok()?;
        let listens = socket::is_listening(&socket);
        listens.then_some(Self {
            socket,
            address,
            name,
        })
    }

    fn shown(&self) -> String {
        match &self.name {
            Some(name) => format!("{} ({name})", self.address),
            None => self.address.to_string(),
        }
    }
}

fn sockets() -> Result<Vec<Inherited>, Error> {
    let unusable = |what: String| Error::fatal(format!("unable to inherit a socket: {what}"));
    if let Some(count) = count() {
        let names = process::variable("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(|&byte| byte == b':').map(clean);
        return (FIRST..FIRST.saturating_add(count))
            .map(|number| {
                let socket = fd::take_inherited(number).ok();
                let name = names.next().flatten();
                let socket = socket.and_then(|socket| Inherited::of(socket, name));
                socket.ok_or_else(|| unusable(format!("descriptor {number} does not listen")))
            })
            .collect();
    }
    let socket = fd::STDIN.try_clone_to_owned().ok();
    match socket.and_then(|socket| Inherited::of(socket, None)) {
        Some(socket) => Ok(vec![socket]),
        None => Err(unusable(
            "there is no $LISTEN_FDS for this process, and descriptor 0 does not listen".into(),
        )),
    }
}

/// How many descriptors `$LISTEN_FDS` counts, if it is for this process.
fn count() -> Option<i32> {
    let variable = |name| number(&process::variable(name)?);
    let pid = u32::try_from(process::id()).ok();
    let count = variable("LISTEN_FDS").filter(|_| variable("LISTEN_PID") == pid)?;
    i32::try_from(count).ok().filter(|&count| count > 0)
}

/// A name for messages.
fn clean(name: &[u8]) -> Option<String> {
    let plain = |&byte: &u8| {
        if byte.is_ascii_graphic() {
            char::from(byte)
        } else {
            '?'
        }
    };
    (!name.is_empty()).then(|| name.iter().map(plain).collect())
}
