//! What a relay is to do, however it was said. It is read at the start, and again at HUP.

use std::net::SocketAddr;
use std::time::Duration;

use super::check::Check;
use super::config::Access;
use super::names::{addresses, placed};
use super::remotes::Terms;
use super::tls::Tls;
use super::written::Written;
use crate::cli::{Error, PERMANENT, Voice};
use crate::dns::Resolver;
use crate::service::{Manner, Place};
use crate::tls::between::{Entry, Inward, Outward};
use crate::tls::material::Passphrase;
use crate::ucspi::entrance::Entrance;
use crate::ucspi::host::Reading;

/// All that a relay needs to know.
#[derive(Debug)]
pub(super) struct Plan {
    /// What stays as it was at the start. Where to listen is in `spots`.
    pub(super) entrance: Entrance,
    /// How many threads carry sessions.
    pub(super) threads: usize,
    /// Only look whether all is well.
    pub(super) is_check: bool,
    pub(super) daemon: Daemon,
    /// Where to listen.
    pub(super) spots: Vec<Spot>,
    /// Who may connect; the first that matches decides, and when none does, nobody.
    pub(super) access: Vec<Access>,
    /// What is to be said of the plan when it is only looked at.
    pub(super) notes: Vec<Vec<u8>>,
    pub(super) remotes: Vec<Written>,
    pub(super) terms: Terms,
    /// How long a session may move nothing; `None` is for ever.
    pub(super) idle: Option<Duration>,
    pub(super) check: Option<Check>,
    /// After so many sessions the process is replaced; 0 is never.
    pub(super) retire: u32,
    /// SIGUSR2 replaces the process.
    pub(super) is_upgradable: bool,
    pub(super) tls: Tls,
}

impl Plan {
    fn has_tls(&self) -> bool {
        self.spots.iter().any(|spot| spot.entry != Entry::Plain)
    }

    /// The side of clients, if a listener has TLS. To be called before there is a runtime, or another user.
    ///
    /// # Errors
    /// 100: who replaces this process could not do the same. 111: certificates are of no use.
    pub(super) fn inward(&self, voice: Voice) -> Result<Option<Inward>, Error> {
        if !self.has_tls() {
            return Ok(None);
        }
        self.can_be_replaced()?;
        Inward::start(&self.tls.terms, voice).map(Some)
    }

    /// Looks whether who replaces this process, if anybody does, can read private keys.
    fn can_be_replaced(&self) -> Result<(), Error> {
        let privileges = self.entrance.account.privileges();
        let is_another = privileges.uid.is_some() || privileges.gid.is_some();
        let is_secret_told_once = matches!(
            self.tls.terms.material.passphrase,
            Passphrase::Descriptor(_)
        );
        let is_replaced = self.retire != 0 || self.is_upgradable;
        if is_replaced && (is_another || is_secret_told_once) {
            let text = "who replaces this process reads private keys again: not as another user, or by --passphrase-fd";
            return Err(Error::with_code(text, PERMANENT));
        }
        Ok(())
    }

    /// Looks whether `inward`, which is there since the start, will do. Who has the keys cannot be told to read other files:
    /// whoever got hold of this process could tell it so too.
    ///
    /// # Errors
    /// It will not do.
    pub(super) fn goes_on_with(&self, inward: Option<&Inward>) -> Result<(), Error> {
        let does = inward.is_some_and(|inward| inward.shows(&self.tls.terms.material));
        if !self.has_tls() {
            return Ok(());
        }
        if does {
            return self.can_be_replaced();
        }
        Err(Error::fatal("certificates in other files need a new start"))
    }

    /// The side of remotes.
    ///
    /// # Errors
    /// 111: a remote speaks TLS, and the certificates to trust are of no use.
    pub(super) fn outward(&self) -> Result<Outward, Error> {
        let outward = self.tls.outward();
        if self.meets_tls() {
            outward.prepare()?;
        }
        Ok(outward)
    }

    /// True when a remote speaks TLS.
    pub(super) fn meets_tls(&self) -> bool {
        self.terms.tls || self.remotes.iter().any(|remote| remote.is_tls)
    }
}

/// Where to listen.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) at: At,
    /// `file:line`, where a configuration file has it.
    pub(super) source: Option<Vec<u8>>,
    pub(super) manner: Manner,
    pub(super) entry: Entry,
    /// When it cannot be had: try again after so long.
    pub(super) retry: Option<Duration>,
}

/// A place to listen, as it is written.
#[derive(Debug)]
pub(super) enum At {
    /// As tcpserver understands host and port.
    Operand(Vec<u8>, u16),
    /// At all addresses of a name.
    Every(Vec<u8>, u16),
    /// At any address of both families.
    Anywhere(u16),
    /// At a UNIX socket.
    Path(Vec<u8>),
    /// There: descriptor 0 listens already.
    Given(Place),
}

impl Spot {
    /// Where that is.
    ///
    /// # Errors
    /// 111: there is no such address, or that could not be found out now. 78: a configuration file has a name that has none.
    pub(super) async fn places(
        &self,
        reading: &Reading,
        resolver: &Resolver,
    ) -> Result<Vec<Place>, Error> {
        Ok(match &self.at {
            At::Operand(host, port) => vec![reading.place(host, *port, resolver).await?],
            At::Anywhere(port) => vec![Place::Anywhere(*port)],
            At::Path(path) => vec![Place::Path(path.clone())],
            At::Given(place) => vec![place.clone()],
            At::Every(host, port) => {
                let source = self.source.as_deref();
                let spelled = reading.spelled(host, host, resolver);
                let mut addresses = match spelled.map_err(|error| placed(source, error))? {
                    Some(addresses) => addresses,
                    None => {
                        let found = addresses(host, source, resolver).await?;
                        found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect()
                    }
                };
                for address in &mut addresses {
                    address.set_port(*port);
                }
                addresses.into_iter().map(Place::Address).collect()
            }
        })
    }
}

/// How the process lives.
#[derive(Debug, Default)]
pub(super) struct Daemon {
    /// It goes on without who started it.
    pub(super) is_background: bool,
    /// Where its pid is written.
    pub(super) pidfile: Option<Vec<u8>>,
    /// Its working directory.
    pub(super) folder: Option<Vec<u8>>,
    /// Where its log goes: facility, severity and name.
    pub(super) syslog: Option<(u8, u8, Vec<u8>)>,
    /// It serves on with the listeners that can be had.
    pub(super) bears_failures: bool,
    /// Where it listens for who started it, as inetd does; then SIGHUP ends it, too.
    pub(super) given: Option<Place>,
}

/// How long a remote that died is left alone, when nothing is said.
pub(super) const REVIVE: Duration = Duration::from_secs(10);
/// How long to wait for a remote, and how much longer for the last one: tcpclient's.
pub(super) const TIMEOUTS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(58)];

/// How many processors this process may use.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
