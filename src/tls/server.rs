//! tlsserver: tcpserver, with TLS between the peer and the program.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::admission::Admission;
use super::carry::Peer;
use super::chooser::Chooser;
use super::options::{Terms, Versions};
use super::session::{HANDSHAKE, Session};
use super::vault::{Certified, Vault};
use crate::cli::{During, Error, Json, Voice, reason};
use crate::sys::signal::{Events, Signal};
use crate::sys::{socket, watch};
use crate::ucspi::layer::{Layer, Met, Tell, Work};
use crate::ucspi::server::{self, Config};

/// Listens, and serves connections until SIGTERM.
///
/// # Errors
/// Those of tcpserver; 111 also for certificates that are of no use, and when the key process ends.
pub fn run(mut config: Config, terms: &Terms, voice: Voice) -> Result<(), Error> {
    config.layer = Some(Rc::new(Tls::new(terms, voice)?));
    server::run(config, voice)
}

/// TLS for all connections of a server.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    voice: Voice,
    vault: Vault,
    chooser: Arc<Chooser>,
    pub(super) admission: Rc<Admission>,
    versions: Versions,
    patience: Duration,
    is_delayed: bool,
    /// How often to look whether certificates have changed.
    pub(super) every: Duration,
}

/// How lines of the log begin that are about TLS.
pub(super) const NAME: &str = "tls";
/// What the environment calls a connection with TLS.
pub(super) const PROTOCOL: &str = "SSL";

/// Often enough that a certificate which a timer has renewed is shown soon, and seldom enough to cost nothing.
const LOOK: Duration = Duration::from_secs(60);

/// What a handshake takes, in bytes: observed with a chain of two certificates, and rounded up.
pub(super) const APPETITE: usize = 96 * 1024;

impl Tls {
    /// Starts the key process, and reads certificates. To be called before there is a runtime, or another user.
    ///
    /// # Errors
    /// 100 for terms that say too little, 111 for certificates that are of no use.
    pub(super) fn new(terms: &Terms, voice: Voice) -> Result<Self, Error> {
        terms.check()?;
        Self::over(Vault::start(&terms.material)?, terms, voice)
    }

    /// The same over a key process that runs.
    pub(super) fn over(vault: Vault, terms: &Terms, voice: Voice) -> Result<Self, Error> {
        let certificates = vault.load().map_err(Error::fatal)?;
        for remark in certificates.iter().filter_map(|one| one.remark.as_deref()) {
            voice.warn(&[b"warning: ", remark]);
        }
        let chooser = Arc::new(Chooser::new(certificates));
        let manners = terms.manners.clone();
        let admission = Admission::new(manners, Arc::clone(&chooser), vault.clone())?;
        Ok(Self {
            voice,
            vault,
            chooser,
            admission: Rc::new(admission),
            versions: terms.versions,
            patience: terms.manners.patience,
            is_delayed: terms.manners.is_delayed,
            every: LOOK,
        })
    }

    /// The client at the other end of `connection`, after a handshake with one of `versions` within `patience`.
    ///
    /// # Errors
    /// Why there is no session, in words.
    pub(super) async fn peer(
        &self,
        connection: OwnedFd,
        versions: Versions,
        patience: Duration,
    ) -> Result<Peer, String> {
        let session = Session::server(self.admission.config(versions));
        let session = session.map_err(|error| error.to_string())?;
        let mut peer = Peer::new(session, connection).map_err(words)?;
        peer.shake(patience).await.map_err(|it| it.why())?;
        Ok(peer)
    }

    /// The same on the terms of the command line.
    async fn client(&self, connection: OwnedFd) -> Result<Peer, String> {
        self.peer(connection, self.versions, self.patience).await
    }

    async fn meet_now(&self, connection: OwnedFd) -> Result<(OwnedFd, Met), String> {
        let peer = self.client(connection).await?;
        let (ours, theirs) = socket::pair().map_err(words)?;
        let facts = peer.facts();
        let patience = self.patience;
        let carry = move |tell: Tell| -> Work<'static, ()> {
            Box::pin(async move {
                if let Some(remark) = peer.carry(ours, patience).await {
                    tell(remark.as_bytes());
                }
            })
        };
        let met = Met {
            others: Vec::new(),
            settings: facts.settings(),
            words: facts.words().into_bytes(),
            carry: Box::new(carry),
        };
        Ok((theirs, met))
    }

    /// The program has the connection itself at first, and says when TLS begins.
    fn meet_later(&self, connection: OwnedFd) -> io::Result<(OwnedFd, Met)> {
        let copy = connection.try_clone()?;
        let (control, its_control) = socket::pair()?;
        let (ours, theirs) = socket::pair()?;
        // Of a number each: a program closes one of them when it has moved it.
        let others = vec![its_control, theirs.try_clone()?, theirs];
        let names = ["SSLCTLFD", "SSLREADFD", "SSLWRITEFD"];
        let number = |(name, fd): (&str, &OwnedFd)| format!("{name}={}", fd.as_raw_fd());
        let settings = names.into_iter().zip(&others).map(number);
        let settings = settings.map(String::into_bytes).collect();
        let tls = self.clone();
        let carry = move |tell: Tell| -> Work<'static, ()> {
            Box::pin(async move {
                if let Some(remark) = tls.begin_later(copy, control, ours, &tell).await {
                    tell(remark.as_bytes());
                }
            })
        };
        let met = Met {
            others,
            settings,
            words: Vec::new(),
            carry: Box::new(carry),
        };
        Ok((connection, met))
    }

    /// UCSPI-TLS: waits for a byte on `control`. After `y` or `Y` TLS begins, and after `Y` what there is to know of it
    /// comes back, as entries of an environment that end with a NUL each, and one NUL more.
    async fn begin_later(
        &self,
        connection: OwnedFd,
        control: OwnedFd,
        stream: OwnedFd,
        tell: &Tell,
    ) -> Option<String> {
        let control = watch::readable(control).ok()?;
        let mut order = [0];
        loop {
            let mut ready = control.readable().await.ok()?;
            match socket::receive_now(&control, &mut order) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Ok(1) => break,
                // It has ended, or does without.
                _ => return None,
            }
        }
        if !matches!(order, [b'y' | b'Y']) {
            return Some("failed the program asks for something else than TLS".to_owned());
        }
        // What was sent in the clear must not pass for something that came under TLS.
        socket::discard_until(&connection, HANDSHAKE);
        let peer = match self.client(connection).await {
            Ok(peer) => peer,
            Err(why) => return Some(format!("failed {why}")),
        };
        let facts = peer.facts();
        tell(facts.words().as_bytes());
        if order == [b'Y'] {
            let known = facts.settings().into_iter().filter(|it| it.contains(&b'='));
            let mut entries: Vec<u8> = known.flat_map(|it| [&it[..], b"\0"].concat()).collect();
            entries.push(0);
            // A program that does not read does not need it; there is room for it in any case.
            let _ = socket::send_now(&control, &entries);
        }
        peer.carry(stream, self.patience).await
    }

    /// Puts new certificates in force, if they are of use.
    fn renew(&self, read: Result<Option<Vec<Certified>>, String>) {
        match read {
            Ok(None) => {}
            Ok(Some(certificates)) => {
                let number = certificates.len();
                self.chooser.replace(certificates);
                let line = format!("{NAME} certificates {number}");
                self.voice.tell_as(&[line.as_bytes()], || {
                    Json::event("certificates").value("number", number)
                });
            }
            Err(why) => self.keep_old(why.as_bytes()),
        }
    }

    /// Says what came of reading again who signs clients' certificates.
    fn renewed(&self, read: Result<Option<usize>, Error>) {
        match read {
            Ok(None) => {}
            Ok(Some(number)) => {
                let line = format!("{NAME} client-ca {number}");
                self.voice.tell_as(&[line.as_bytes()], || {
                    Json::event("client-ca").value("number", number)
                });
            }
            Err(error) => self.keep_old(error.text()),
        }
    }

    fn keep_old(&self, why: &[u8]) {
        let kept = b"; the certificates before stay in force";
        self.voice.warn(&[b"warning: ", why, kept]);
    }

    /// Reads certificates again, and those that sign clients'.
    pub(super) fn reload(&self) {
        self.renew(self.vault.load().map(Some));
        self.renewed(self.admission.read());
    }

    /// The same with those that have changed.
    fn look(&self) {
        self.renew(self.vault.look());
        self.renewed(self.admission.look());
    }

    /// Looks whether certificates have changed when it is time; returns when the server cannot go on.
    pub(super) async fn keep(&self) -> Error {
        let mut ends = pin!(self.vault.ends());
        loop {
            tokio::select! {
                error = &mut ends => return error,
                () = sleep(self.every) => self.look(),
            }
        }
    }

    /// The same, and reads certificates again at HUP.
    async fn look_after(&self) -> Error {
        let hups = Events::of(&[Signal::SIGHUP]).and_then(watch::readable);
        let hups = match hups.during("wait for signals") {
            Ok(hups) => hups,
            Err(error) => return error,
        };
        let mut keep = pin!(self.keep());
        loop {
            tokio::select! {
                error = &mut keep => return error,
                ready = hups.readable() => {
                    if let (Ok(mut ready), Ok(_)) = (ready, hups.get_ref().pending()) {
                        ready.clear_ready();
                        self.reload();
                    }
                }
            }
        }
    }
}

pub(super) fn words(error: io::Error) -> String {
    reason(&error).to_owned()
}

impl Layer for Tls {
    fn name(&self) -> &'static str {
        NAME
    }

    fn protocol(&self) -> &'static str {
        PROTOCOL
    }

    fn signals(&self) -> &'static [Signal] {
        &[Signal::SIGHUP]
    }

    fn appetite(&self) -> usize {
        APPETITE
    }

    fn meet(&self, connection: OwnedFd) -> Work<'_, Result<(OwnedFd, Met), String>> {
        if self.is_delayed {
            let met = self.meet_later(connection).map_err(words);
            Box::pin(std::future::ready(met))
        } else {
            Box::pin(self.meet_now(connection))
        }
    }

    fn work(&self) -> Work<'_, Error> {
        Box::pin(self.look_after())
    }
}
