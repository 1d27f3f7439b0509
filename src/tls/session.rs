//! One TLS session, without any input or output: bytes in, bytes out, in both directions.

use std::fmt;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedConnectionCommon,
    UnbufferedStatus,
};
use rustls::{ClientConfig, CommonState, Error, InvalidMessage, ServerConfig};

/// Bytes that are gathered, in room that is used again.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    room: Vec<u8>,
    length: usize,
}

impl Gathered {
    /// What was gathered.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.room[..self.length]
    }

    /// Forgets it.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.spare(bytes.len()).copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Room for `length` more bytes, of which [`Self::take`] tells how many were used.
    fn spare(&mut self, length: usize) -> &mut [u8] {
        let end = self.length + length;
        if self.room.len() < end {
            self.room.resize(end, 0);
        }
        &mut self.room[self.length..end]
    }

    fn take(&mut self, length: usize) {
        self.length += length;
    }
}

/// One TLS session.
pub(crate) struct Session {
    side: Side,
    /// What came of a record that is not whole yet.
    held: Vec<u8>,
    /// It has failed, and is of no use any more.
    is_dead: bool,
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

/// The longest piece that a session may hold back: the longest handshake message that rustls takes, in records, and one
/// more record. Who does not get further with so much never will.
pub(super) const HELD_MAX: usize = 96 * 1024;

impl Session {
    /// The side of the server.
    ///
    /// # Errors
    /// rustls does not like the configuration.
    pub(super) fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self::of(Side::Server(UnbufferedServerConnection::new(
            config,
        )?)))
    }

    /// The side of the client, for the server called `name`. Something is to be sent at once: see [`Self::begin`].
    ///
    /// # Errors
    /// rustls does not like the configuration.
    pub(super) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, Error> {
        Ok(Self::of(Side::Client(UnbufferedClientConnection::new(
            config, name,
        )?)))
    }

    fn of(side: Side) -> Self {
        Self {
            side,
            held: Vec::new(),
            is_dead: false,
        }
    }

    /// What is known of it.
    pub(super) fn state(&self) -> &CommonState {
        match &self.side {
            Side::Server(side) => side,
            Side::Client(side) => side,
        }
    }

    /// True for the side of the client.
    pub(super) fn is_client(&self) -> bool {
        matches!(self.side, Side::Client(_))
    }

    /// True until the handshake is done.
    pub(super) fn is_young(&self) -> bool {
        self.state().is_handshaking()
    }

    /// Puts what is held at the beginning of `room`, which must be longer than [`HELD_MAX`]; what comes from the peer
    /// belongs behind it. Gives how much that is.
    pub(crate) fn put_held(&self, room: &mut [u8]) -> usize {
        let length = self.held.len();
        room[..length].copy_from_slice(&self.held);
        length
    }

    /// Gathers what a client has to say first.
    ///
    /// # Errors
    /// See [`why`].
    pub(super) fn begin(&mut self, out: &mut Gathered) -> Result<(), Error> {
        self.receive(&mut [], &mut Gathered::default(), out)
            .map(drop)
    }

    /// Takes `bytes`, of which the first are those that [`Self::put_held`] gave, and gathers in `plain` what they say and in
    /// `out` what is to be sent. True when the peer says that no more will come. When that fails, what is in `out` is to be sent all the same: it says so.
    ///
    /// # Errors
    /// The peer does something wrong, see [`why`]. The session is of no use any more.
    pub(crate) fn receive(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Gathered,
        out: &mut Gathered,
    ) -> Result<bool, Error> {
        let mut has_ended = false;
        let taken = match &mut self.side {
            Side::Server(side) => process(&mut **side, bytes, plain, out, &mut has_ended),
            Side::Client(side) => process(&mut **side, bytes, plain, out, &mut has_ended),
        };
        self.is_dead = taken.is_err();
        let left = &bytes[taken?..];
        if left.len() > HELD_MAX {
            self.is_dead = true;
            return Err(InvalidMessage::MessageTooLarge.into());
        }
        // Without room for more: most records come whole.
        self.held.clear();
        self.held.reserve_exact(left.len());
        self.held.extend_from_slice(left);
        if left.is_empty() {
            self.held = Vec::new();
        }
        Ok(has_ended)
    }

    /// Encrypts `plain` into `out`. Only after the handshake.
    ///
    /// # Errors
    /// The keys are used up, or the session is of no use any more.
    pub(crate) fn send(&mut self, plain: &[u8], out: &mut Gathered) -> Result<(), Error> {
        self.write(Some(plain), out)
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(crate) fn close(&mut self, out: &mut Gathered) -> Result<(), Error> {
        self.write(None, out)
    }

    fn write(&mut self, plain: Option<&[u8]>, out: &mut Gathered) -> Result<(), Error> {
        if self.is_dead {
            return Err(Error::HandshakeNotComplete);
        }
        let held = &mut self.held;
        match &mut self.side {
            Side::Server(side) => write(&mut **side, held, plain, out),
            Side::Client(side) => write(&mut **side, held, plain, out),
        }
    }
}

/// What is wrong with a session, in words of which none is the peer's, or they are cleaned.
pub(crate) fn why(error: &Error) -> String {
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "this is not TLS".to_owned(),
        error => cleaned(&error.to_string()),
    }
}

/// The longest reason that is logged, in bytes.
const WHY_MAX: usize = 200;

/// `text` with a question mark for what is not printable, and cut.
pub(super) fn cleaned(text: &str) -> String {
    let clean = |c: char| {
        if c == ' ' || c.is_ascii_graphic() {
            c
        } else {
            '?'
        }
    };
    text.chars().map(clean).take(WHY_MAX).collect()
}

/// A session of either side.
trait Process {
    type Data;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Process for UnbufferedConnectionCommon<ServerConnectionData> {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

impl Process for UnbufferedConnectionCommon<ClientConnectionData> {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

/// Goes on as far as `bytes` lead; gives how many of them are done with.
fn process(
    side: &mut impl Process,
    bytes: &mut [u8],
    plain: &mut Gathered,
    out: &mut Gathered,
    has_ended: &mut bool,
) -> Result<usize, Error> {
    let mut taken = 0;
    loop {
        let UnbufferedStatus { mut discard, state } = side.process(&mut bytes[taken..]);
        match state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(out, 0, |room| data.encode(room))?
            }
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    plain.push(record.payload);
                }
            }
            Ok(ConnectionState::PeerClosed) => *has_ended = true,
            Ok(_) => return Ok(taken + discard),
            Err(error) => {
                alert(side, &mut bytes[taken + discard..], out);
                return Err(error);
            }
        }
        taken += discard;
    }
}

/// Encrypts `plain`, or the end. What is held counts: the beginning of a handshake message may be there.
fn write(
    side: &mut impl Process,
    held: &mut Vec<u8>,
    plain: Option<&[u8]>,
    out: &mut Gathered,
) -> Result<(), Error> {
    loop {
        let UnbufferedStatus { discard, state } = side.process(held);
        let is_done = match state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(out, 0, |room| data.encode(room))?;
                false
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                false
            }
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                match plain {
                    Some(plain) => {
                        let room = plain.len() + (plain.len() / RECORD_BYTES + 1) * OVERHEAD_BYTES;
                        encode(out, room, |room| traffic.encrypt(plain, room))?;
                    }
                    None => encode(out, 0, |room| traffic.queue_close_notify(room))?,
                }
                true
            }
            // It is closed on both sides, or waits for a handshake that does not come.
            Ok(_) => return Err(Error::HandshakeNotComplete),
            Err(error) => return Err(error),
        };
        held.drain(..discard);
        if is_done {
            return Ok(());
        }
    }
}

/// What a record carries at most. RFC 8446 section 5.1
const RECORD_BYTES: usize = 16 * 1024;
/// What a record has beside that, amply: head, type, and what authenticates it.
const OVERHEAD_BYTES: usize = 48;

/// Gathers the alert with which a session that has failed ends, and what was said before it, which is not under encryption: a
/// ServerHello. rustls has them ready; where it has none, it looks once more at those of the peer's `bytes` that are not done
/// with, and fails again. Behind an alert it must not look.
fn alert(side: &mut impl Process, bytes: &mut [u8], out: &mut Gathered) {
    let mut was_last = false;
    while !was_last && let Ok(ConnectionState::EncodeTlsData(mut data)) = side.process(bytes).state
    {
        let before = out.bytes().len();
        if encode(out, 0, |room| data.encode(room)).is_err() {
            return;
        }
        let kind = out.bytes().get(before);
        was_last = !matches!(kind, Some(&(HANDSHAKE | CHANGE_CIPHER_SPEC)));
    }
}

/// Types of records. RFC 8446 section 5.1
pub(super) const HANDSHAKE: u8 = 22;
const CHANGE_CIPHER_SPEC: u8 = 20;

/// Calls `write` with `room` bytes of room in `out`, and again with as much as it says that it needs.
fn encode<E: Into<Encoding>>(
    out: &mut Gathered,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), Error> {
    loop {
        match write(out.spare(room)).map_err(Into::into) {
            Ok(length) => {
                out.take(length);
                return Ok(());
            }
            Err(Encoding::Needs(length)) if length > room => room = length,
            Err(_) => return Err(Error::EncryptError),
        }
    }
}

/// Why nothing could be encoded.
enum Encoding {
    /// It needs room for so many bytes.
    Needs(usize),
    Impossible,
}

impl From<EncodeError> for Encoding {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Self::Needs(required_size)
            }
            EncodeError::AlreadyEncoded => Self::Impossible,
        }
    }
}

impl From<EncryptError> for Encoding {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Self::Needs(required_size)
            }
            EncryptError::EncryptExhausted => Self::Impossible,
        }
    }
}
