//! What is known of one connection, as plain data: lines, JSON, counters and the list of connections are printings of it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::facts::canonical;
use super::proxy::Announced;
use crate::service::{Listed, Packer, Unpacker};
use crate::sys::process::{Ended, Pid};

/// One connection, from accept to its end.
#[derive(Debug)]
pub(crate) struct Record {
    /// Whence it comes, as it was announced; an IPv4 address as IPv4, also where a socket for both families gave it.
    pub(crate) remote: SocketAddr,
    /// What a PROXY header said of it; there wherever one may come.
    pub(crate) announced: Option<Rc<Announced>>,
    /// When it was accepted.
    pub(crate) arrived: Instant,
    /// How long after that it was decided.
    pub(crate) decided: Option<Duration>,
    /// What was found out of it; kept where somebody may still ask.
    pub(crate) known: Option<Box<Known>>,
    /// The pid of the process that serves it; or a number above all pids, once it needs one.
    pub(crate) number: Option<Pid>,
    /// How its process ended, or would have ended.
    pub(crate) end: Option<Ended>,
    /// How much of the banner it has got, in bytes.
    pub(crate) greeted: Cell<usize>,
    /// Its place in the list of connections, where there is one.
    pub(super) listed: Option<Listed>,
}

/// What the gate finds out of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Where it came in.
    pub(crate) local: Option<SocketAddr>,
    /// The name of the remote end.
    pub(crate) host: Option<Vec<u8>>,
    /// What the ident server said.
    pub(crate) info: Option<Vec<u8>>,
    /// The address of the rule that matched.
    pub(crate) rule: Option<Vec<u8>>,
}

impl Record {
    /// A connection from `remote` that was just accepted.
    pub(crate) fn new(remote: SocketAddr) -> Self {
        Self {
            remote: canonical(remote),
            announced: None,
            arrived: Instant::now(),
            decided: None,
            known: None,
            number: None,
            end: None,
            greeted: Cell::new(0),
            listed: None,
        }
    }

    /// All but its place in the list.
    pub(crate) fn pack(&self, to: &mut Packer) {
        to.text(self.remote);
        to.maybe(self.announced.as_ref(), |to, announced| announced.pack(to));
        to.past(self.arrived);
        to.maybe(self.decided, Packer::duration);
        to.maybe(self.known.as_ref(), |to, known| {
            to.maybe(known.local, Packer::text);
            for text in [&known.host, &known.info, &known.rule] {
                to.maybe(text.as_ref(), |to, text| to.bytes(text));
            }
        });
        to.maybe(self.number, |to, number| to.number(number.unsigned_abs()));
        to.maybe(self.end, |to, end| {
            to.number(end.status.cast_unsigned());
            to.duration(end.cpu);
            to.number(end.max_rss_kb);
        });
        to.number(self.greeted.get() as u64);
    }

    /// One that was packed.
    pub(crate) fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let bytes = |from: &mut Unpacker<'_>| from.maybe(|from| from.bytes().map(<[u8]>::to_vec));
        Some(Self {
            remote: from.text()?,
            announced: from.maybe(Announced::unpack)?.map(Rc::new),
            arrived: from.past()?,
            decided: from.maybe(Unpacker::duration)?,
            known: from.maybe(|from| {
                Some(Box::new(Known {
                    local: from.maybe(Unpacker::text)?,
                    host: bytes(from)?,
                    info: bytes(from)?,
                    rule: bytes(from)?,
                }))
            })?,
            number: from.maybe(|from| from.number::<u32>()?.try_into().ok())?,
            end: from.maybe(|from| {
                Some(Ended {
                    status: from.number::<u32>()?.cast_signed(),
                    cpu: from.duration()?,
                    max_rss_kb: from.number()?,
                })
            })?,
            greeted: Cell::new(from.number()?),
            listed: None,
        })
    }

    /// It is as `announced` says.
    pub(super) fn announce(&mut self, announced: Announced) {
        if let Some((_, addresses)) = announced.ends {
            self.remote = addresses.remote;
            let remote = addresses.remote.to_string();
            if let Some(listed) = &self.listed {
                listed.update(|row| row.remote = remote);
            }
        }
        self.announced = Some(Rc::new(announced));
    }

    /// The balancer that announced it, if one did.
    pub(crate) fn proxy(&self) -> Option<SocketAddr> {
        self.announced.as_ref()?.proxy()
    }

    /// How long it was served.
    pub(crate) fn served(&self) -> Duration {
        let decided = self.decided.unwrap_or_default();
        self.arrived.elapsed().saturating_sub(decided)
    }
}
