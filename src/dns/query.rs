//! One question to several name servers: over UDP, and over TCP when the answer is too long for that.
//!
//! Servers are asked in order, in rounds of growing patience. A server that is slow is still listened to while the next
//! one is asked, so one dead server among two costs a second and a slow one is never cut off. Each socket is connected:
//! the kernel drops what comes from elsewhere, and a server that refuses says so at once. What is no answer to our
//! question is passed over, whatever it is, and the wait goes on. Ids are the kernel's random numbers, source ports the
//! kernel's choice.
//!
//! Source: RFC 1035 sections 4 and 7.3; the order of servers and what a failure is, observed runs of the original.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::sys::random;

/// How long each server has in each round before the next one is asked.
const ROUNDS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(11),
    Duration::from_secs(45),
];
/// The pause before servers that have all failed are asked a second time, which is also the last.
const SECOND_THOUGHTS: Duration = Duration::from_secs(1);
/// For connecting over TCP, and again for the whole answer.
const TCP_LIMIT: Duration = Duration::from_secs(10);
/// Without EDNS an answer has at most 512 bytes; more is read so that a longer one is seen whole.
const DATAGRAM_BYTES: usize = 4096;

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) kind: RecordType,
}

impl Question {
    /// The packet that asks it under `id`.
    fn packet(&self, id: u16) -> io::Result<Vec<u8>> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message
            .queries
            .push(Query::query(self.name.clone(), self.kind));
        message
            .to_vec()
            .map_err(|_| io::Error::from_raw_os_error(libc::EPROTO))
    }

    /// The message in `packet`, if it is an answer to this question under `id`.
    pub(super) fn answered_by(&self, packet: &[u8], id: u16) -> Option<Message> {
        // Before anything is built from foreign bytes.
        if packet.get(..2)? != id.to_be_bytes() {
            return None;
        }
        let message = Message::from_vec(packet).ok()?;
        let metadata = &message.metadata;
        let [query] = &message.queries[..] else {
            return None;
        };
        let is_ours = metadata.message_type == MessageType::Response
            && metadata.op_code == OpCode::Query
            && *query == Query::query(self.name.clone(), self.kind);
        is_ours.then_some(message)
    }
}

/// Asks `question`, until a server gives a usable answer: records, or word that there are none.
///
/// Without a bound of its own: the caller sets one. Gives up when all servers have failed twice.
///
/// # Errors
/// No server gave one: the last server's failure, or ETIMEDOUT.
pub(super) async fn ask(servers: &[SocketAddr], question: &Question) -> io::Result<Message> {
    let mut attempts: Vec<_> = servers.iter().map(|&server| Attempt::new(server)).collect();
    for (round, patience) in ROUNDS.into_iter().enumerate() {
        let mut failure = None;
        let mut is_silent = false;
        for current in 0..attempts.len() {
            if let Err(error) = attempts[current].send(question).await {
                failure = Some(error);
                continue;
            }
            match timeout(patience, answer(&mut attempts, current, question)).await {
                Err(_) => is_silent = true,
                Ok(Err(error)) => failure = Some(error),
                Ok(Ok(message)) if message.metadata.truncation => {
                    return ask_over_tcp(servers, question).await;
                }
                Ok(Ok(message)) => return Ok(message),
            }
        }
        if let Some(error) = failure.filter(|_| !is_silent) {
            if round > 0 {
                return Err(error);
            }
            tokio::time::sleep(SECOND_THOUGHTS).await;
        }
    }
    Err(io::Error::from_raw_os_error(libc::ETIMEDOUT))
}

/// A server, and the socket on which its answer may come.
struct Attempt {
    server: SocketAddr,
    socket: Option<UdpSocket>,
    id: u16,
}

impl Attempt {
    fn new(server: SocketAddr) -> Self {
        Self {
            server,
            socket: None,
            id: 0,
        }
    }

    /// Sends the question, for the second time on the socket of the first: a late answer counts.
    async fn send(&mut self, question: &Question) -> io::Result<()> {
        if self.socket.is_none() {
            let local: SocketAddr = match self.server {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(local).await?;
            socket.connect(self.server).await?;
            self.id = random::u16()?;
            self.socket = Some(socket);
        }
        let packet = question.packet(self.id)?;
        match &self.socket {
            Some(socket) => socket.send(&packet).await.map(drop),
            None => Ok(()),
        }
    }

    /// The answer, if it is there. A server that fails loses its socket: the next round gives it another.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        question: &Question,
    ) -> Poll<io::Result<Message>> {
        let Some(socket) = &self.socket else {
            return Poll::Pending;
        };
        let mut room = [0; DATAGRAM_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut room);
            let received = std::task::ready!(socket.poll_recv(context, &mut buffer));
            let outcome = match received {
                Err(error) => Err(error),
                Ok(()) => match question.answered_by(buffer.filled(), self.id) {
                    None => continue,
                    Some(message) => usable(message),
                },
            };
            if outcome.is_err() {
                self.socket = None;
            }
            return Poll::Ready(outcome);
        }
    }
}

/// An answer that says something: others mean that this server cannot help, which the original calls a temporary failure.
fn usable(message: Message) -> io::Result<Message> {
    match message.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(message),
        _ => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
    }
}

/// The first usable answer of any server, or the failure of the one that was asked last.
async fn answer(
    attempts: &mut [Attempt],
    current: usize,
    question: &Question,
) -> io::Result<Message> {
    std::future::poll_fn(|context| {
        for (index, attempt) in attempts.iter_mut().enumerate() {
            match attempt.poll(context, question) {
                Poll::Ready(Err(error)) if index == current => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(message)) => return Poll::Ready(Ok(message)),
                Poll::Ready(Err(_)) | Poll::Pending => {}
            }
        }
        Poll::Pending
    })
    .await
}

/// Asks the servers in turn over TCP, each once. RFC 1035 section 4.2.2.
async fn ask_over_tcp(servers: &[SocketAddr], question: &Question) -> io::Result<Message> {
    let mut failure = io::Error::from_raw_os_error(libc::ETIMEDOUT);
    for &server in servers {
        let attempt = async {
            let mut stream = timeout(TCP_LIMIT, TcpStream::connect(server)).await??;
            timeout(TCP_LIMIT, converse(&mut stream, question)).await?
        };
        match attempt.await {
            Ok(message) => return Ok(message),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn converse(stream: &mut TcpStream, question: &Question) -> io::Result<Message> {
    let protocol_error = || io::Error::from_raw_os_error(libc::EPROTO);
    let id = random::u16()?;
    let packet = question.packet(id)?;
    let length = u16::try_from(packet.len()).map_err(|_| protocol_error())?;
    stream
        .write_all(&[&length.to_be_bytes(), &packet[..]].concat())
        .await?;
    let length = stream.read_u16().await?;
    let mut packet = vec![0; length.into()];
    stream.read_exact(&mut packet).await?;
    let message = question
        .answered_by(&packet, id)
        .ok_or_else(protocol_error)?;
    if message.metadata.truncation {
        return Err(protocol_error());
    }
    usable(message)
}
