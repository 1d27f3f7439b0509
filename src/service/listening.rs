//! What the command line says about the port, and about who started us.

use std::ffi::CString;

use super::rate::Rate;
use crate::cli::Opt;
use crate::sys::process;

/// What the command line says about the port.
#[derive(Clone, Debug)]
pub struct Listening {
    /// How many connections may be open at once.
    pub limit: u32,
    /// How many connections may wait to be accepted.
    pub backlog: u32,
    /// Say on descriptor 1 which port it is.
    pub print_port: bool,
    /// How often a connection is accepted.
    pub rate: Option<Rate>,
    /// Further places to listen, each as `HOST:PORT`.
    pub also: Vec<Vec<u8>>,
    /// Sockets that listen there were handed over.
    pub inherit: bool,
    /// Tell systemd that we serve, and how it goes.
    pub notify: bool,
    /// Write a line feed to this descriptor when we serve.
    pub notify_fd: Option<i32>,
}

impl Default for Listening {
    fn default() -> Self {
        Self {
            limit: 40,
            backlog: 20,
            print_port: false,
            rate: None,
            also: Vec::new(),
            inherit: false,
            notify: false,
            notify_fd: None,
        }
    }
}

impl Listening {
    /// The options for it.
    pub const OPTIONS: &'static [Opt<Self>] = &[
        Opt::flag(
            "1",
            "print the port, and a line feed, on descriptor 1",
            |port| {
                port.print_port = true;
            },
        ),
        Opt::value(
            "c",
            "limit",
            "serve at most this many connections at once (default 40)",
            |port, value| {
                port.limit = value.number(1..=u32::MAX)?;
                Ok(())
            },
        ),
        Opt::value(
            "b",
            "backlog",
            "let this many connections wait (default 20)",
            |port, value| {
                port.backlog = value.number(0..=u32::MAX)?;
                Ok(())
            },
        ),
        Opt::value(
            "rate",
            "rate",
            "accept connections so often, number/seconds[:burst]; more wait",
            |listening, value| {
                listening.rate = Some(value.parse(Rate::FORM, Rate::parse)?);
                Ok(())
            },
        ),
        Opt::value(
            "also",
            "host:port",
            "listen there too; may be given several times",
            |listening, value| {
                listening.also.push(value.bytes());
                Ok(())
            },
        ),
        Opt::flag(
            "inherit",
            "take the listening socket from $LISTEN_FDS, or from descriptor 0",
            |listening| listening.inherit = true,
        ),
        Opt::flag(
            "notify",
            "tell systemd, by $NOTIFY_SOCKET, when it serves and how it goes",
            |listening| listening.notify = true,
        ),
        Opt::value(
            "notify-fd",
            "number",
            "write a line feed to this descriptor when it serves",
            |listening, value| {
                let number = value.number(3..=i32::MAX.unsigned_abs())?;
                listening.notify_fd = i32::try_from(number).ok();
                Ok(())
            },
        ),
    ];

    /// How many descriptors it takes beyond one listener.
    pub(crate) fn descriptors(&self) -> u64 {
        self.also.len() as u64 + u64::from(self.notify)
    }

    /// The environment for programs: what was inherited, but not what is for the server alone.
    pub(crate) fn environment(&self) -> Vec<CString> {
        let ours = |is: bool, names: &'static [&[u8]]| if is { names } else { &[] };
        let ours = [
            ours(self.inherit, &OF_SOCKETS),
            ours(self.notify, &OF_NOTICES),
            &[ROLE.as_bytes()],
        ];
        let mut all = process::environment();
        all.retain(|entry| {
            let mut parts = entry.to_bytes().splitn(2, |&byte| byte == b'=');
            let name = parts.next().unwrap_or_default();
            !ours.iter().any(|names| names.contains(&name))
        });
        all
    }
}

/// Who to become; `None` changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Privileges {
    /// The only group to keep.
    pub gid: Option<u32>,
    /// The user to become.
    pub uid: Option<u32>,
}

/// The variables of systemd for sockets. sd_listen_fds(3)
const OF_SOCKETS: [&[u8]; 4] = [
    b"LISTEN_FDS",
    b"LISTEN_PID",
    b"LISTEN_FDNAMES",
    b"LISTEN_PIDFDID",
];
/// Those for notices. sd_notify(3), sd_watchdog_enabled(3)
const OF_NOTICES: [&[u8]; 3] = [b"NOTIFY_SOCKET", b"WATCHDOG_USEC", b"WATCHDOG_PID"];
/// The variable by which the next version of the program learns what it is.
pub(super) const ROLE: &str = "UCSPI_UPGRADE";
