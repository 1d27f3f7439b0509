//! The remotes that sessions are spread over, and how one of them is reached.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::balance::{Balance, Choice, Rules};
use super::carry::Wire;
use super::log::Log;
use super::targets::{Lease, Target, is_ours};
use super::written::Written;
use crate::cli::{Error, reason};
use crate::dns::Resolver;
use crate::service::Overload;
use crate::sys::{errno, socket, watch};
use crate::tls::between::{Outward, Unmet};
use crate::ucspi::proxy::{Header, Version};

/// Some remotes, and what is known of them.
#[derive(Debug)]
pub(super) struct Remotes {
    pub(super) targets: Vec<Arc<Target>>,
    balance: RefCell<Balance>,
    /// A remote that was full may not be any more.
    freed: Arc<Notify>,
}

/// What is settled about reaching a remote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) rules: Rules,
    /// How long to wait for a remote when there is another one left, and how much longer for the last.
    pub(super) timeouts: [Duration; 2],
    /// Where to connect from, if it matters.
    pub(super) local: Option<IpAddr>,
    /// Begin with a PROXY header of this version, where a remote says nothing of its own.
    pub(super) proxy: Option<Version>,
    /// Speak TLS with all.
    pub(super) tls: bool,
    /// What to do when all remotes have as many sessions as they may have.
    pub(super) overload: Overload,
    /// Something finds out whether remotes live.
    pub(super) are_checked: bool,
}

/// Who asks for a remote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    /// The number of the session, and of its client.
    pub(super) session: u32,
    pub(super) client: u64,
    pub(super) greeting: Greeting<'a>,
}

/// What is said to a remote first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Greeting<'a> {
    /// What a PROXY header says, where one is sent.
    pub(super) header: &'a Header,
    /// The protocol that a remote is offered by ALPN.
    pub(super) protocol: Option<&'a [u8]>,
    pub(super) outward: &'a Outward,
}

/// Why there is no remote for a session.
#[derive(Debug)]
pub(super) enum Unreached {
    /// None took it.
    NoRemote,
    /// All have as many sessions as they may have.
    Full,
    /// Nothing that says anything of the remotes, in words.
    Unable(String),
}

/// What was wrong when a remote was to be had, in words.
#[derive(Debug)]
pub(super) enum Flaw {
    /// The remote.
    Remote(String),
    /// What this client wants of it: it may be of use for others.
    Wish(String),
    /// We lack something, which says nothing of the remote.
    Ours(String),
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        let why = reason(&error).to_owned();
        if is_ours(&error) {
            Self::Ours(why)
        } else {
            Self::Remote(why)
        }
    }
}

impl From<Unmet> for Flaw {
    fn from(unmet: Unmet) -> Self {
        let said = |why| format!("tls {why}");
        match unmet {
            Unmet::Io(error) => match Self::from(error) {
                Self::Remote(why) => Self::Remote(said(why)),
                flaw => flaw,
            },
            Unmet::Server(why) => Self::Remote(said(why)),
            Unmet::Offer(why) => Self::Wish(said(why)),
            Unmet::Ours(why) => Self::Ours(said(why)),
        }
    }
}

impl Remotes {
    /// The remotes that `written` stands for, with what `old` knows of them.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub(super) async fn new(
        written: &[Written],
        terms: &Terms,
        resolver: &Resolver,
        old: Option<&Self>,
    ) -> Result<Self, Error> {
        let freed = old.map_or_else(Arc::default, |old| Arc::clone(&old.freed));
        let mut targets = Vec::new();
        let mut inherited = Vec::new();
        for written in written {
            let written = Written {
                proxy: written.proxy.or(terms.proxy),
                is_tls: written.is_tls || terms.tls,
                ..written.clone()
            };
            for target in written.resolved(resolver, &freed).await? {
                let known = old.and_then(|old| old.find(&target));
                inherited.extend(known.map(|(from, _)| (targets.len(), from)));
                targets.push(Arc::new(match known {
                    Some((_, known)) => target.continuing(known),
                    None => target,
                }));
            }
        }
        let all = targets.iter().map(|target| target.terms(terms.are_checked));
        let mut balance = Balance::new(terms.rules, all);
        if let Some(old) = old {
            for (to, from) in inherited {
                balance.inherit(to, &old.balance.borrow(), from);
            }
        }
        Ok(Self {
            targets,
            balance: RefCell::new(balance),
            freed,
        })
    }

    fn find(&self, other: &Target) -> Option<(usize, &Arc<Target>)> {
        let mut all = self.targets.iter().enumerate();
        all.find(|(_, target)| target.address == other.address)
    }

    /// A connection to one of them, for `caller`. Each is tried at most once.
    ///
    /// # Errors
    /// There is none for it.
    pub(super) async fn reach(
        &self,
        caller: Caller<'_>,
        terms: &Terms,
        log: Log,
    ) -> Result<(Wire, Lease), Unreached> {
        let mut tried = Vec::new();
        loop {
            // Before the look, so that no news is missed.
            let freed = self.freed.notified();
            let in_use = |index: usize| self.targets[index].in_use();
            let choice = {
                let mut balance = self.balance.borrow_mut();
                balance.choose(caller.client, &tried, in_use, Instant::now())
            };
            let index = match choice {
                Choice::Remote(index) => index,
                Choice::Full if terms.overload == Overload::Queue => {
                    freed.await;
                    continue;
                }
                Choice::Full => return Err(Unreached::Full),
                Choice::Nobody => return Err(Unreached::NoRemote),
            };
            let lease = Lease::of(&self.targets[index]);
            let probe = Probe {
                balance: &self.balance,
                index,
            };
            let [mut limit, more] = terms.timeouts;
            if tried.len() + 1 == self.targets.len() {
                limit += more;
            }
            let began = Instant::now();
            let connection = connect(&lease.0, terms.local, limit).await;
            let took = began.elapsed();
            let met = match connection {
                Ok(connection) => greet(connection, &lease.0, caller.greeting).await,
                Err(error) => Err(error.into()),
            };
            drop(probe);
            match met {
                Ok((wire, words)) => {
                    lease.0.count_connection(took);
                    if let Some(words) = words {
                        log.secured(caller.session, Some(&lease.0), &words);
                    }
                    self.is_alive(index, log);
                    return Ok((wire, lease));
                }
                Err(Flaw::Ours(why)) => return Err(Unreached::Unable(why)),
                Err(Flaw::Wish(why)) => {
                    log.retried(caller.session, &lease.0, &why);
                    tried.push(index);
                }
                Err(Flaw::Remote(why)) => {
                    log.retried(caller.session, &lease.0, &why);
                    self.is_dead(index, &why, log);
                    tried.push(index);
                }
            }
        }
    }

    /// The remote at `index` was found alive.
    pub(super) fn is_alive(&self, index: usize, log: Log) {
        if self.balance.borrow_mut().succeeded(index, Instant::now()) {
            log.revived(&self.targets[index]);
        }
    }

    /// The remote at `index` was found dead.
    pub(super) fn is_dead(&self, index: usize, why: &str, log: Log) {
        self.targets[index].count_failure();
        if self.balance.borrow_mut().failed(index, Instant::now()) {
            log.died(&self.targets[index], why);
        }
    }

    /// True while the remote at `index` is taken for alive.
    pub(super) fn takes_for_alive(&self, index: usize) -> bool {
        self.balance.borrow().is_alive(index)
    }

    /// Says one line about each.
    pub(super) fn tell(&self, log: Log) {
        for (index, target) in self.targets.iter().enumerate() {
            let is_alive = self.balance.borrow().is_alive(index);
            log.say(target.summary(is_alive).as_bytes());
        }
    }
}

/// A choice of which it is not known what becomes of it: the session may end at any await.
struct Probe<'a> {
    balance: &'a RefCell<Balance>,
    index: usize,
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.balance.borrow_mut().abandoned(self.index);
    }
}

/// Says what is to be said first over `connection` to `target`: a PROXY header, and TLS, of which there are words for the
/// log.
///
/// # Errors
/// Why it is of no use.
async fn greet(
    connection: OwnedFd,
    target: &Target,
    greeting: Greeting<'_>,
) -> Result<(Wire, Option<String>), Flaw> {
    announce(&connection, target, greeting.header)?;
    let Some(name) = &target.server else {
        return Ok((Wire::Plain(connection), None));
    };
    // In a box: a session without it does not pay for its room.
    let met = Box::pin(greeting.outward.meet(connection, name, greeting.protocol)).await;
    let (shaken, facts) = met?;
    Ok((Wire::Tls(shaken), Some(facts.words())))
}

/// Sends the PROXY header that `target` wants, if it wants one.
///
/// # Errors
/// It cannot be sent.
pub(super) fn announce(connection: &OwnedFd, target: &Target, header: &Header) -> Result<(), Flaw> {
    let Some(version) = target.written.proxy else {
        return Ok(());
    };
    let header = header.write(version);
    // Nothing has been sent before: there is room for it.
    let why = match socket::send_now(connection, &header) {
        Ok(sent) if sent == header.len() => return Ok(()),
        Ok(_) => "no room".to_owned(),
        Err(error) => match Flaw::from(error) {
            Flaw::Remote(why) => why,
            flaw => return Err(flaw),
        },
    };
    Err(Flaw::Remote(format!("unable to send PROXY header: {why}")))
}

/// Connects to `target`, within `limit`.
///
/// # Errors
/// The remote cannot be had (`TimedOut` after `limit`), or we lack something: see [`is_ours`].
pub(super) async fn connect(
    target: &Target,
    local: Option<IpAddr>,
    limit: Duration,
) -> io::Result<OwnedFd> {
    let (socket, is_connected) = target.connect(local)?;
    if !is_connected {
        let writable = watch::writable(socket.as_fd())?;
        // In a box: a session that is connected at once does not pay for their room.
        let done = Box::pin(timeout(limit, writable.writable())).await;
        if done.is_err() {
            return Err(io::Error::from_raw_os_error(errno::ETIMEDOUT));
        }
        socket::connected(&socket)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::Flaw;
    use crate::sys::errno;
    use crate::tls::between::Unmet;

    #[test]
    fn what_we_lack_is_not_a_remotes_flaw_with_or_without_tls() {
        for (number, is_ours) in [
            (errno::EMFILE, true),
            (errno::ENFILE, true),
            (errno::ENOMEM, true),
            (errno::ENOBUFS, true),
            (errno::EADDRNOTAVAIL, true),
            (errno::ETIMEDOUT, false),
            (errno::EPROTO, false),
        ] {
            let error = || io::Error::from_raw_os_error(number);
            for flaw in [Flaw::from(error()), Flaw::from(Unmet::Io(error()))] {
                assert_eq!(matches!(flaw, Flaw::Ours(_)), is_ours, "{flaw:?}");
                assert_eq!(matches!(flaw, Flaw::Remote(_)), !is_ours, "{flaw:?}");
            }
        }
    }
}
