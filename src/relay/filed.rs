//! A relay whose plan is a file of event-driven-servers' tcprelay: [`super::config`] has the grammar, and this what it means.
//!
//! There, a master accepts and hands connections to children; here, one process does both. So `users` times `instances` is
//! how many sessions there may be, and whatever is about how many children there are has no effect.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::balance::{Policy, Rules};
use super::config::{self, Certificate, Config, Files, Listen, Mistake, Remote, Sections};
use super::connection::limit;
use super::include;
use super::names::WRONG_FILE;
use super::plan::{At, Daemon, Plan, REVIVE, Spot, TIMEOUTS, processors};
use super::remotes::Terms;
use super::tls::Tls;
use super::written::{self, Written};
use crate::cli::{Error, Opt};
use crate::service::{Listening, Manner, Place};
use crate::sys::fd;
use crate::sys::socket::{self, Keepalive};
use crate::tls::between::Entry;
use crate::tls::material::{Material, Passphrase};
use crate::ucspi::account::{self, Account};
use crate::ucspi::entrance::Entrance;
use crate::ucspi::gate;
use crate::ucspi::names::Lookups;
use crate::ucspi::port;

/// What the command line says besides the file. What it says wins.
#[derive(Debug, Default)]
pub struct Filed {
    /// The file.
    pub file: Vec<u8>,
    /// Which of its sections.
    pub sections: Sections,
    /// `-b` and `-f`.
    pub is_background: Option<bool>,
    /// `-p`
    pub pidfile: Option<Vec<u8>>,
    /// `-1`
    pub is_single: bool,
    /// `-D` and `-d`: say what happens, on descriptor 2.
    pub is_debug: bool,
    /// `-P`: only look whether all is well.
    pub is_check: bool,
    /// `-v`: print the version.
    pub is_version: bool,
}

/// What event-driven-servers has: syslog facility uucp, severity info; 60 sessions for a child, 8 children; 128 connections
/// that wait.
const UUCP: u8 = 8;
const INFO: u8 = 6;
pub(super) const USERS_MAX: u32 = 60;
pub(super) const INSTANCES_MAX: u32 = 8;
pub(super) const BACKLOG: u32 = 128;

impl Filed {
    /// The options for it.
    pub const OPTIONS: &'static [Opt<Self>] = &[
        Opt::flag("P", "look whether the file is well, and end", |it| {
            it.is_check = true;
        }),
        Opt::flag("v", "print the version and exit", |it| it.is_version = true),
        Opt::flag("b", "go on in the background", |it| {
            it.is_background = Some(true);
        }),
        Opt::flag("f", "stay in the foreground", |it| {
            it.is_background = Some(false);
        }),
        Opt::flag("1", "carry sessions on one thread", |it| {
            it.is_single = true
        }),
        Opt::flag("D", "say what happens", |it| it.is_debug = true),
        Opt::value(
            "d",
            "level",
            "say what happens, if level is not 0",
            |it, value| {
                it.is_debug = value.number(0..=u32::MAX)? != 0;
                Ok(())
            },
        ),
        Opt::value(
            "i",
            "child_id",
            "relay as this section says (default tcprelay)",
            |it, value| {
                it.sections.relay = Some(value.bytes());
                Ok(())
            },
        ),
        Opt::value(
            "I",
            "id",
            "listen as this section says (default spawnd)",
            |it, value| {
                it.sections.master = value.bytes();
                Ok(())
            },
        ),
        Opt::value("p", "pidfile", "write the pid to this file", |it, value| {
            it.pidfile = Some(value.bytes());
            Ok(())
        }),
        Opt::flag("check-only", "as -P", |it| it.is_check = true),
    ];

    /// Keeps the file's path as it is from here, for when the working directory is another one.
    pub(super) fn settle(&mut self) {
        let path = std::path::absolute(path(&self.file));
        self.file = path.map_or_else(
            |_| self.file.clone(),
            |path| path.into_os_string().into_vec(),
        );
    }

    /// Reads the file.
    ///
    /// # Errors
    /// 78: something in it is wrong.
    pub(super) fn plan(&self) -> Result<Plan, Error> {
        let config = read(&self.file, &self.sections);
        config
            .and_then(|config| self.planned(config))
            .map_err(|Mistake(text)| Error::with_code(text, WRONG_FILE))
    }

    fn planned(&self, config: Config) -> Result<Plan, Mistake> {
        let Config {
            master,
            relay,
            mut notes,
        } = config;
        let tls = certificates(&master.listens, relay.tls, &mut notes)?;
        if relay.remotes.is_empty() {
            let text = [&self.file[..], b": Expected a remote, but there is none"].concat();
            return Err(Mistake(text));
        }
        let is_single = master.is_single || self.is_single;
        let instances = if is_single {
            1
        } else {
            master.instances_max.unwrap_or(INSTANCES_MAX)
        };
        let users = master.users_max.unwrap_or(USERS_MAX);
        let spots = master.listens.iter().map(|listen| spot(listen, &master));
        let mut spots: Vec<Spot> = spots.collect::<Result<_, _>>()?;
        let given = given();
        spots.extend(given.clone().map(|place| Spot {
            at: At::Given(place),
            source: None,
            manner: Manner::default(),
            entry: Entry::Plain,
            retry: None,
        }));
        if spots.is_empty() {
            let none = [&self.file[..], b": Expected 'listen', but there is none"].concat();
            if !self.is_check {
                return Err(Mistake(none));
            }
            // It may be meant for who hands a listener over.
            notes.push(none);
        }
        let remotes = relay.remotes.iter().map(remote);
        let account = account_of(master.user.as_deref(), master.group.as_deref(), &self.file)?;
        let is_background = self.is_background.or(master.is_background).unwrap_or(false);
        let is_background = is_background && given.is_none();
        let syslog = if master.syslog == config::Syslog::default() {
            relay.syslog
        } else {
            master.syslog.clone()
        };
        let wants_syslog = syslog != config::Syslog::default() || is_background;
        Ok(Plan {
            entrance: Entrance {
                listening: Listening {
                    limit: users.saturating_mul(instances),
                    ..Listening::default()
                },
                account,
                gate: gate::Terms {
                    no_delay: true,
                    clear_ip_options: false,
                    ..gate::Terms::default()
                },
                lookups: Lookups {
                    remote_host: false,
                    ident: false,
                    local_host: Some(b"0".to_vec()),
                    ..Lookups::default()
                },
                ..Entrance::default()
            },
            threads: if is_single { 1 } else { processors() },
            is_check: self.is_check,
            daemon: Daemon {
                is_background,
                pidfile: self.pidfile.clone().or(master.pidfile.clone()),
                folder: master.folder.clone(),
                syslog: (wants_syslog && !self.is_debug).then(|| {
                    let ident = syslog.ident.unwrap_or_else(|| b"tcprelay".to_vec());
                    (
                        syslog.facility.unwrap_or(UUCP),
                        syslog.severity.unwrap_or(INFO),
                        ident,
                    )
                }),
                bears_failures: true,
                given,
            },
            spots,
            access: master.access,
            notes,
            remotes: remotes.collect::<Result<_, _>>()?,
            terms: Terms {
                rules: Rules {
                    policy: if master.is_sticky {
                        Policy::Hash
                    } else {
                        Policy::Least
                    },
                    rebalance: relay.rebalance,
                    revive: REVIVE,
                },
                timeouts: TIMEOUTS,
                local: relay.local,
                proxy: None,
                tls: false,
                overload: master.overload,
                are_checked: false,
            },
            idle: limit(relay.idle),
            check: None,
            retire: relay.retire,
            is_upgradable: false,
            tls,
        })
    }
}

/// Reads the sections `sections` of `file`, and the files that it includes.
///
/// # Errors
/// The first mistake.
pub fn read(file: &[u8], sections: &Sections) -> Result<Config, Mistake> {
    config::read(&OnDisk, file, sections)
}

/// Where descriptor 0 listens, as whoever is like inetd hands it over for all connections (`wait`).
fn given() -> Option<Place> {
    if !socket::is_listening(fd::STDIN) {
        return None;
    }
    let path = socket::local_path(fd::STDIN).map(Place::Path);
    path.or_else(|| socket::local_address(fd::STDIN).ok().map(Place::Address))
}

fn spot(listen: &Listen, master: &config::Master) -> Result<Spot, Mistake> {
    let number = |text: &[u8]| {
        port::port(text).map_err(|_| mistake(&listen.place, "a port number or service", text))
    };
    let at = match (&listen.path, &listen.address, &listen.port) {
        (Some(path), ..) => At::Path(path.clone()),
        (None, _, None) => {
            return Err(Mistake(
                [
                    &listen.place[..],
                    b": Expected 'port' or 'path', but there is none",
                ]
                .concat(),
            ));
        }
        (None, None, Some(port)) => At::Anywhere(number(port)?),
        (None, Some(address), Some(port)) => At::Every(address.clone(), number(port)?),
    };
    let [own, all] = [listen.keepalive, master.keepalive];
    let owner = account_of(
        listen.user.as_deref(),
        listen.group.as_deref(),
        &listen.place,
    )?;
    Ok(Spot {
        at,
        source: Some(listen.place.clone()),
        manner: Manner {
            backlog: listen.backlog.unwrap_or(BACKLOG),
            is_sctp: listen.is_sctp,
            keepalive: Some(Keepalive {
                count: own.count.or(all.count),
                idle: own.idle.or(all.idle),
                interval: own.interval.or(all.interval),
            }),
            urgent_in_line: true,
            dscp: listen.dscp,
            device: listen.device.clone(),
            mode: listen.mode,
            owner: [owner.user.map(|user| user.uid), owner.privileges().gid],
        },
        entry: listen.entry,
        retry: limit(listen.retry_delay.unwrap_or(master.retry_delay)),
    })
}

/// What is to be shown to clients, which those of `listens` need that have TLS.
fn certificates(
    listens: &[Listen],
    certificate: Certificate,
    notes: &mut Vec<Vec<u8>>,
) -> Result<Tls, Mistake> {
    let Certificate {
        file: shown,
        key,
        passphrase,
        place,
    } = certificate;
    let listen = listens.iter().find(|it| it.entry != Entry::Plain);
    match (listen, shown) {
        (Some(listen), None) => {
            let missing = b": Expected 'tls cert-file' where it is relayed, but there is none";
            Err(Mistake([&listen.place[..], missing].concat()))
        }
        (Some(_), Some(shown)) => Ok(Tls::showing(Material {
            pairs: vec![(path(&shown).into(), key.map(|key| path(&key).into()))],
            folder: None,
            passphrase: passphrase.map_or(Passphrase::None, Passphrase::of),
        })),
        (None, _) => {
            if !place.is_empty() {
                let text = b": a certificate without a listener for TLS has no effect here";
                notes.push([&place[..], text].concat());
            }
            Ok(Tls::default())
        }
    }
}

fn remote(remote: &Remote) -> Result<Written, Mistake> {
    let port = port::port(&remote.port).ok().filter(|&port| port != 0);
    let port =
        port.ok_or_else(|| mistake(&remote.place, "a port number or service", &remote.port))?;
    Ok(Written {
        weight: remote.weight,
        is_sctp: remote.is_sctp,
        source: Some(remote.place.clone()),
        ..Written::at(written::Place::Host(remote.address.clone(), port))
    })
}

fn account_of(user: Option<&[u8]>, group: Option<&[u8]>, place: &[u8]) -> Result<Account, Mistake> {
    let unknown = |kind: &str, name: &[u8]| {
        let what = format!(": UNIX {kind} '");
        Mistake([place, what.as_bytes(), name, b"' not found."].concat())
    };
    let user = user.map(|name| account::user(name).ok_or_else(|| unknown("user", name)));
    let group = group.map(|name| account::group(name).ok_or_else(|| unknown("group", name)));
    Ok(Account {
        user: user.transpose()?,
        group: group.transpose()?,
    })
}

fn mistake(place: &[u8], expected: &str, got: &[u8]) -> Mistake {
    let expected = format!(": Expected {expected}, but got '");
    Mistake([place, expected.as_bytes(), got, b"'"].concat())
}

fn path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

/// The files of this machine.
struct OnDisk;

/// No configuration is larger, in bytes.
const FILE_MAX: u64 = 16 << 20;

impl Files for OnDisk {
    fn read(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let file = std::fs::File::open(path(name))?;
        io::Read::read_to_end(&mut io::Read::take(file, FILE_MAX), &mut text)?;
        Ok(text)
    }

    fn matching(&self, pattern: &[u8]) -> Vec<Vec<u8>> {
        let found = include::matching(path(pattern));
        found
            .into_iter()
            .map(|path: PathBuf| path.into_os_string().into_vec())
            .collect()
    }
}
