//! Telling who started us that we serve, how it goes, and that we end.
//!
//! Source: sd_notify(3) and sd_watchdog_enabled(3) for systemd, which gives a datagram socket in `$NOTIFY_SOCKET`; and s6's
//! notification descriptors, which take a line feed once and are then closed.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::listening::Listening;
use crate::cli::{Error, Voice, number, reason};
use crate::sys::{fd, process};

/// How often the state is told, at most.
const PERIOD: Duration = Duration::from_secs(5);

/// Who started us, as far as he wants to know.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    socket: Option<UnixDatagram>,
    /// For a line feed.
    descriptor: RefCell<Option<OwnedFd>>,
    /// He takes us for dead when he has not heard of us for so long.
    watchdog: Option<Duration>,
    /// The state that was told last.
    told: RefCell<String>,
}

impl Supervisor {
    /// The one who is to be told, as `listening` says, and by a line feed to `notify_fd`.
    ///
    /// # Errors
    /// 111: that descriptor is not open.
    pub(super) fn new(
        listening: &Listening,
        notify_fd: Option<i32>,
        voice: Voice,
    ) -> Result<Self, Error> {
        let descriptor = notify_fd.map(|number| {
            let unable = |error| {
                let why = reason(&error);
                Error::fatal(format!("unable to use descriptor {number}: {why}"))
            };
            fd::take_inherited(number).map_err(unable)
        });
        let socket = process::variable("NOTIFY_SOCKET").filter(|_| listening.notify);
        let socket = socket.and_then(|name| match connect(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                let why = reason(&error).as_bytes();
                voice.warn(&[b"warning: unable to notify ", &name, b": ", why]);
                None
            }
        });
        Ok(Self {
            watchdog: watchdog().filter(|_| socket.is_some()),
            socket,
            descriptor: RefCell::new(descriptor.transpose()?),
            told: RefCell::default(),
        })
    }

    fn send(&self, text: &str) {
        if let Some(socket) = &self.socket {
            // Who does not listen does not want to know.
            let _ = socket.send(text.as_bytes());
        }
    }

    /// We serve.
    pub(super) fn ready(&self) {
        self.send("READY=1\n");
        if let Some(descriptor) = self.descriptor.take() {
            let _ = fd::write_all(&descriptor, b"\n");
        }
    }

    /// We end.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    /// How it goes, if that is news.
    pub(super) fn tell(&self, state: String) {
        if *self.told.borrow() != state {
            self.send(&format!("STATUS={state}\n"));
            *self.told.borrow_mut() = state;
        }
    }

    /// How long to wait before word is sent again, where somebody hears it.
    pub(super) fn period(&self) -> Option<Duration> {
        self.socket.as_ref()?;
        Some(
            self.watchdog
                .map_or(PERIOD, |limit| (limit / 2).min(PERIOD)),
        )
    }

    /// We live.
    pub(super) fn alive(&self) {
        if self.watchdog.is_some() {
            self.send("WATCHDOG=1\n");
        }
    }
}

/// A socket for what is called `name`; an `@` in front stands for the abstract namespace. unix(7)
fn connect(name: &[u8]) -> std::io::Result<UnixDatagram> {
    let address = match name {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        name => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // It must not hold us.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// How long the supervisor waits for word of us, if he does.
fn watchdog() -> Option<Duration> {
    let number = |name| number(&process::variable(name)?);
    if process::variable("WATCHDOG_PID").is_some() {
        number("WATCHDOG_PID").filter(|&pid| i64::from(pid) == i64::from(process::id()))?;
    }
    let limit = number("WATCHDOG_USEC").filter(|&limit| limit > 0)?;
    Some(Duration::from_micros(limit.into()))
}
