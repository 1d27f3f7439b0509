//! tlsclient and tlsc: TLS to a server that is verified, for a program on descriptors 6 and 7; and the same for one question
//! and its answer.

use std::io;
use std::os::fd::OwnedFd;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::beside::{self, Beside};
use super::carry::Peer;
use super::options::{PATIENCE, Trust};
use super::server::{NAME, PROTOCOL};
use super::session::Session;
use super::vault::Vault;
use crate::cli::{During, Error, FAILED, Voice};
use crate::sys::runtime::Runtime;
use crate::sys::{fd, process, socket};
use crate::ucspi::client::{self, Config, READ, WRITE};
use crate::ucspi::environ::Changes;

/// tlsclient: connects, and ends as the program has.
///
/// # Errors
/// Those of tcpclient; 111 also when the server is not who it should be.
pub fn run(config: &Config, trust: &Trust, voice: Voice) -> Result<(), Error> {
    let name = trust.server_name(&config.host)?;
    let trusted = Trusted::new(trust, name, voice)?;
    // They are the program's: nothing of ours is to come to be there.
    fd::occupy(READ);
    fd::occupy(WRITE);
    let (connection, changes) = client::open(config, voice)?;
    trusted.carry(connection, changes, &config.program, voice)
}

/// tlsc: the same with a connection that is there, on descriptors 6 and 7.
///
/// # Errors
/// 100: no name to expect; 111: no connection there, or the server is not who it should be.
pub fn run_inherited(trust: &Trust, program: &[Vec<u8>], voice: Voice) -> Result<(), Error> {
    let name = match &trust.whom.name {
        Some(name) => name,
        None if trust.whom.no_verify => &b"0"[..],
        None => return Err(Error::operand("--name is needed, or --no-verify")),
    };
    let name = trust.server_name(name)?;
    let connection = fd::inherited(READ).and_then(|fd| fd.try_clone_to_owned());
    let connection = connection.during("use descriptor 6")?;
    if !socket::is_stream(&connection) {
        return Err(Error::fatal("descriptor 6 is no connection"));
    }
    let trusted = Trusted::new(trust, name, voice)?;
    fd::occupy(READ);
    fd::occupy(WRITE);
    let changes = Changes::inherited(&process::environment());
    trusted.carry(connection, changes, program, voice)
}

/// Sends `request` over `connection` to the server called `host`, and gives what it answers to `piece`, to its end.
///
/// # Errors
/// 111: the server is not who it should be, or cuts its answer short; what `piece` says is passed on without a message.
pub fn ask(
    connection: OwnedFd,
    host: &[u8],
    request: &[u8],
    mut piece: impl FnMut(&[u8]) -> io::Result<()>,
    voice: Voice,
) -> Result<(), Error> {
    let trust = Trust::default();
    let trusted = Trusted::new(&trust, trust.server_name(host)?, voice)?;
    let runtime = Runtime::new().during("start")?;
    runtime.wait(async {
        let peer = trusted.meet(connection).await?;
        let (ours, theirs) = socket::pair().during("get a descriptor")?;
        let theirs = std::os::unix::net::UnixStream::from(theirs);
        theirs.set_nonblocking(true).during("get a descriptor")?;
        let mut stream = UnixStream::from_std(theirs).during("get a descriptor")?;
        let talk = async move {
            stream
                .write_all(request)
                .await
                .during("write to the network")?;
            let mut room = vec![0; PIECE_BYTES];
            loop {
                match stream
                    .read(&mut room)
                    .await
                    .during("read from the network")?
                {
                    0 => return Ok(()),
                    length => piece(&room[..length]).map_err(|_| Error::silent(FAILED))?,
                }
            }
        };
        let (said, remark) = tokio::join!(talk, peer.carry(ours, PATIENCE));
        said?;
        match remark {
            Some(_) => Err(Error::fatal("the server has cut its answer short")),
            None => Ok(()),
        }
    })
}

/// The size of a piece of an answer.
const PIECE_BYTES: usize = 64 * 1024;

/// A server that is to be met, and how.
struct Trusted {
    config: std::sync::Arc<rustls::ClientConfig>,
    name: ServerName<'static>,
}

impl Trusted {
    /// Reads what is to be trusted, and starts the key process if there is a key. To be called before there is a runtime or
    /// a connection.
    fn new(trust: &Trust, name: ServerName<'static>, voice: Voice) -> Result<Self, Error> {
        if trust.whom.no_verify {
            voice.warn(&[b"warning: --no-verify: the server may be anybody"]);
        }
        let own = if trust.material.is_empty() {
            None
        } else {
            let pairs = Vault::start(&trust.material)?
                .load()
                .map_err(Error::fatal)?;
            pairs.into_iter().next().map(|pair| pair.certified)
        };
        let config = trust.config(own)?;
        Ok(Self { config, name })
    }

    /// The server at the other end of `connection`, after the handshake.
    async fn meet(self, connection: OwnedFd) -> Result<Peer, Error> {
        let name = self.name.to_str().into_owned();
        let unable = |why: String| {
            let text = format!("unable to speak TLS with {name}: {why}");
            Error::fatal(text)
        };
        let session = Session::client(self.config, self.name.clone());
        let session = session.map_err(|error| unable(error.to_string()))?;
        let peer = Peer::new(session, connection).during("watch the connection")?;
        let mut peer = peer.with_name(name.clone());
        let shaken = peer.shake(PATIENCE).await;
        shaken.map_err(|failure| unable(failure.why()))?;
        Ok(peer)
    }

    /// Runs `program` with the connection on descriptors 6 and 7, and `changes` and what there is to know of TLS in its
    /// environment.
    fn carry(
        self,
        connection: OwnedFd,
        mut changes: Changes,
        program: &[Vec<u8>],
        voice: Voice,
    ) -> Result<(), Error> {
        beside::run(program, |beside: Beside| async move {
            let peer = self.meet(connection).await?;
            let facts = peer.facts();
            changes.call(PROTOCOL);
            facts.settings().iter().for_each(|it| changes.setting(it));
            let head = format!("{NAME} {} ", process::id());
            voice.tell(&[head.as_bytes(), facts.words().as_bytes()]);
            let (ours, theirs) = socket::pair().during("get a descriptor")?;
            let read = fd::move_to(theirs, READ).during("set up descriptor 6")?;
            fd::copy_to(read, WRITE).during("set up descriptor 7")?;
            let environment = changes.made(&process::environment());
            let carry = async {
                // The program has them.
                fd::occupy(READ);
                fd::occupy(WRITE);
                if let Some(remark) = peer.carry(ours, PATIENCE).await {
                    voice.tell(&[head.as_bytes(), remark.as_bytes()]);
                }
            };
            beside.run(None, Vec::new(), &environment, carry).await
        })
    }
}
