//! A relay as its command line says: `host port remote ...`.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use super::balance::{Policy, Rules};
use super::check::Check;
use super::plan::{At, Daemon, Plan, REVIVE, Spot, TIMEOUTS, processors};
use super::remotes::Terms;
use super::tls::Tls;
use super::written::Written;
use crate::cli::{During, Error, Opt, number, seconds};
use crate::dns::literal;
use crate::service::{Manner, Overload};
use crate::sys::socket::Keepalive;
use crate::ucspi::client;
use crate::ucspi::entrance::Entrance;
use crate::ucspi::host;
use crate::ucspi::proxy::Version;

/// A relay on the command line: `host port remote ...`.
#[derive(Debug, Default)]
pub struct Line {
    /// What is not about relaying.
    pub entrance: Entrance,
    /// How it relays.
    pub relaying: Relaying,
    /// TLS on both sides.
    pub tls: Tls,
    /// The remotes, as they were written.
    pub remotes: Vec<Vec<u8>>,
    /// At SIGUSR2, go on with the program that then is in the place of this one.
    pub is_upgradable: bool,
}

impl Line {
    /// Reads it, and the file with remotes if there is one.
    ///
    /// # Errors
    /// 100: a remote is not written as remotes are. 111: the file cannot be read.
    pub(super) fn plan(&self) -> Result<Plan, Error> {
        let Relaying {
            policy,
            rebalance,
            revive,
            timeouts,
            idle,
            local,
            overload,
            proxy,
            ..
        } = self.relaying;
        let threads = self
            .relaying
            .threads
            .map_or_else(processors, |threads| threads as usize);
        Ok(Plan {
            entrance: self.entrance.clone(),
            threads,
            is_check: self.relaying.is_check,
            daemon: Daemon::default(),
            spots: self.spots()?,
            access: Vec::new(),
            notes: Vec::new(),
            remotes: self.written()?,
            terms: Terms {
                rules: Rules {
                    policy,
                    rebalance,
                    revive,
                },
                timeouts,
                local,
                proxy,
                tls: self.tls.is_for_remotes(),
                overload,
                are_checked: self.relaying.check.is_some(),
            },
            idle: (!idle.is_zero()).then_some(idle),
            check: self.relaying.check,
            retire: self.relaying.retire,
            is_upgradable: self.is_upgradable,
            tls: self.tls.clone(),
        })
    }

    /// Where to listen: at the operands, then where `--also` says.
    fn spots(&self) -> Result<Vec<Spot>, Error> {
        let Entrance {
            host,
            port,
            listening,
            ..
        } = &self.entrance;
        let also = listening.also.iter();
        let also = also
            .map(|text| host::split(text))
            .collect::<Result<Vec<_>, _>>()?;
        let all = [(&host[..], *port)].into_iter().chain(also);
        let entry = self.tls.entry()?;
        let spots = all.map(|(host, port)| Spot {
            at: At::Operand(host.to_vec(), port),
            source: None,
            manner: Manner {
                backlog: listening.backlog,
                keepalive: Some(Keepalive::default()),
                urgent_in_line: true,
                ..Manner::default()
            },
            entry,
            retry: None,
        });
        Ok(spots.collect())
    }

    /// The remotes: those of the command line, then those of the file.
    fn written(&self) -> Result<Vec<Written>, Error> {
        let mut remotes = Vec::new();
        for text in &self.remotes {
            let remote = Written::read(text);
            remotes.push(remote.map_err(|mistake| Error::operand(mistake.text()))?);
        }
        if let Some(name) = &self.relaying.file {
            let path = Path::new(OsStr::from_bytes(name));
            let lines = std::fs::read(path).during([b"read ", &name[..]].concat())?;
            for (number, line) in (1..).zip(lines.split(|&byte| byte == b'\n')) {
                let text = line.trim_ascii();
                if text.is_empty() || text.starts_with(b"#") {
                    continue;
                }
                let remote = Written::read(text);
                remotes.push(remote.map_err(|mistake| {
                    let place = format!(":{number}: ");
                    Error::fatal([&name[..], place.as_bytes(), &mistake.text()].concat())
                })?);
            }
            if remotes.is_empty() {
                return Err(Error::fatal([b"no remote in ", &name[..]].concat()));
            }
        }
        Ok(remotes)
    }
}

/// How a relay relays, as the long options say.
#[derive(Debug)]
pub struct Relaying {
    policy: Policy,
    rebalance: u32,
    revive: Duration,
    timeouts: [Duration; 2],
    idle: Duration,
    local: Option<IpAddr>,
    proxy: Option<Version>,
    overload: Overload,
    check: Option<Check>,
    retire: u32,
    threads: Option<u32>,
    /// A file with remotes, one a line.
    pub file: Option<Vec<u8>>,
    /// Only look whether all is well.
    pub is_check: bool,
}

impl Default for Relaying {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            rebalance: 0,
            revive: REVIVE,
            timeouts: TIMEOUTS,
            idle: Duration::ZERO,
            local: None,
            proxy: None,
            overload: Overload::default(),
            check: None,
            retire: 0,
            threads: None,
            file: None,
            is_check: false,
        }
    }
}

/// More threads than this are a mistake.
const THREADS_MAX: u32 = 1024;

impl Relaying {
    /// The options for it.
    pub const OPTIONS: &'static [Opt<Self>] = &[
        Opt::value(
            "balance",
            "policy",
            "choose remotes by least, order, rr, hash or first (default least)",
            |it, value| {
                it.policy = value.parse("least, order, rr, hash or first", policy)?;
                Ok(())
            },
        ),
        Opt::value(
            "idle-timeout",
            "seconds",
            "end a session that moves nothing for so long; 0 for never (default 0)",
            |it, value| {
                it.idle = value.seconds()?;
                Ok(())
            },
        ),
        Opt::value(
            "connect-timeout",
            "x+y",
            "wait x seconds for a remote, x+y for the last one left (default 2+58)",
            |it, value| {
                it.timeouts = value.parse("seconds, as x or x+y", client::timeouts)?;
                Ok(())
            },
        ),
        Opt::value(
            "rebalance",
            "n",
            "forget which remotes are dead after n choices; 0 for never (default 0)",
            |it, value| {
                it.rebalance = value.number(0..=u32::MAX)?;
                Ok(())
            },
        ),
        Opt::value(
            "revive",
            "seconds",
            "let one session find out whether a dead remote lives after so long (default 10)",
            |it, value| {
                it.revive = value.seconds()?;
                Ok(())
            },
        ),
        Opt::value(
            "check",
            "every",
            "check remotes every so many seconds, as every[:timeout[:rise:fall]]",
            |it, value| {
                it.check = Some(value.parse("seconds[:seconds[:rise:fall]]", Check::read)?);
                Ok(())
            },
        ),
        Opt::value(
            "retire",
            "n",
            "replace the process after n sessions; 0 for never (default 0)",
            |it, value| {
                it.retire = value.number(0..=u32::MAX)?;
                Ok(())
            },
        ),
        Opt::value(
            "overload",
            "how",
            "queue, close or reset connections that are too many (default queue)",
            |it, value| {
                it.overload = value.parse("queue, close or reset", Overload::read)?;
                Ok(())
            },
        ),
        Opt::value(
            "remotes",
            "file",
            "take remotes from this file too, one a line",
            |it, value| {
                it.file = Some(value.bytes());
                Ok(())
            },
        ),
        Opt::value(
            "threads",
            "n",
            "carry sessions on so many threads (default one for each processor)",
            |it, value| {
                it.threads = Some(value.number(1..=THREADS_MAX)?);
                Ok(())
            },
        ),
        Opt::value(
            "local",
            "ip",
            "connect to remotes from this address",
            |it, value| {
                it.local = Some(value.parse("an IP address", literal::address)?);
                Ok(())
            },
        ),
        Opt::value(
            "send-proxy",
            "version",
            "begin each connection to a remote with a PROXY header, 1 or 2",
            |it, value| {
                it.proxy = Some(value.parse(Version::FORM, Version::parse)?);
                Ok(())
            },
        ),
        Opt::flag("check-only", "look whether all is well, and end", |it| {
            it.is_check = true;
        }),
    ];
}

fn policy(text: &[u8]) -> Option<Policy> {
    Some(match text {
        b"least" => Policy::Least,
        b"order" => Policy::Order,
        b"rr" => Policy::RoundRobin,
        b"hash" => Policy::Hash,
        b"first" => Policy::First,
        _ => return None,
    })
}

impl Check {
    /// `every[:timeout[:rise:fall]]`: seconds, and numbers of checks.
    fn read(text: &[u8]) -> Option<Self> {
        let parts: Vec<&[u8]> = text.split(|&byte| byte == b':').collect();
        let time = |at: usize, default| match parts.get(at) {
            None => Some(default),
            Some(part) => seconds(part).filter(|time| !time.is_zero()),
        };
        let count = |at: usize, default| match parts.get(at) {
            None => Some(default),
            Some(part) => number(part).filter(|&count| count > 0),
        };
        let every = time(0, Duration::ZERO)?;
        let check = Self {
            every,
            timeout: time(1, every.min(Duration::from_secs(2)))?,
            rise: count(2, 2)?,
            fall: count(3, 3)?,
        };
        matches!(parts.len(), 1 | 2 | 4).then_some(check)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Check;

    #[test]
    fn checks_are_read_whole_or_not_at_all() {
        let check = |every, timeout, rise, fall| Check {
            every: Duration::from_millis(every),
            timeout: Duration::from_millis(timeout),
            rise,
            fall,
        };
        assert_eq!(Check::read(b"5"), Some(check(5000, 2000, 2, 3)));
        assert_eq!(Check::read(b"0.5"), Some(check(500, 500, 2, 3)));
        assert_eq!(Check::read(b"5:9"), Some(check(5000, 9000, 2, 3)));
        assert_eq!(Check::read(b"5:0.1:1:7"), Some(check(5000, 100, 1, 7)));
        for wrong in [
            "",
            "0",
            "5:",
            "5:0",
            "5:9:1",
            "5:9:1:7:8",
            "x",
            "5:9:0:1",
            "5:9:1.5:1",
            "5:9:1:0",
        ] {
            assert_eq!(Check::read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
