//! One question to several name servers: over UDP, and over TCP when the answer is too long for that.
//!
//! Servers are asked in order, in rounds of growing patience, one at a time: a question never holds more than one
//! socket, however many servers are silent. Each socket is connected: the kernel drops what comes from elsewhere, and a
//! server that refuses says so at once. What is no answer to our question is passed over, whatever it is, and the wait
//! goes on; an answer that says that the server cannot help, or cannot be read as far as the question needs, is that
//! server's failure, and the next one is asked (RFC 1034 section 5.3.3, step 4d). Ids are the kernel's random numbers,
//! source ports the kernel's choice.
//!
//! Source: RFC 1035 sections 4 and 7.3; the order of servers and what a failure is, observed runs of the original.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::packet::{ANSWER_BYTES, Question, Record, Reply};
use crate::sys::{errno, random};

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

/// Records, and for how long they hold; none is word that there are none.
pub(super) type Found = (Vec<Record>, Duration);

/// Asks `question`, until a server gives a usable answer.
///
/// Without a bound of its own: the caller sets one. Gives up when all servers have failed twice.
///
/// # Errors
/// No server gave one: the last server's failure, or ETIMEDOUT.
pub(super) async fn ask(servers: &[SocketAddr], question: &Question) -> io::Result<Found> {
    let mut attempt = None;
    for (round, patience) in ROUNDS.into_iter().enumerate() {
        let mut failure = None;
        let mut is_silent = false;
        for &server in servers {
            match timeout(patience, ask_over_udp(&mut attempt, server, question)).await {
                Err(_) => is_silent = true,
                Ok(Ok(Reply::Answer(records, ttl))) => return Ok((records, ttl)),
                Ok(Ok(Reply::Truncated)) => {
                    drop(attempt);
                    return ask_over_tcp(servers, question).await;
                }
                Ok(Err(error)) => {
                    // A new id from another port: what it sends late is not waited for.
                    attempt = None;
                    failure = Some(error);
                }
            }
        }
        if let Some(error) = failure.filter(|_| !is_silent) {
            if round > 0 {
                return Err(error);
            }
            tokio::time::sleep(SECOND_THOUGHTS).await;
        }
    }
    Err(timed_out())
}

/// A server that was asked, and the socket on which its answer may come.
struct Attempt {
    server: SocketAddr,
    socket: UdpSocket,
    id: u16,
}

/// Asks one server and waits for its answer. The only one that there is to ask is asked again on the same socket: a late
/// answer counts.
async fn ask_over_udp(
    attempt: &mut Option<Attempt>,
    server: SocketAddr,
    question: &Question,
) -> io::Result<Reply> {
    let Attempt { socket, id, .. } = match attempt.take_if(|attempt| attempt.server == server) {
        Some(same) => attempt.insert(same),
        None => {
            // First, so that there are never two.
            *attempt = None;
            attempt.insert(Attempt::at(server).await?)
        }
    };
    socket.send(&question.packet(*id)).await?;
    std::future::poll_fn(|context| {
        // Not in the future, which every question holds while it waits.
        let mut room = [0; ANSWER_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut room);
            std::task::ready!(socket.poll_recv(context, &mut buffer))?;
            let is_cut = buffer.remaining() == 0;
            if let Some(reply) = question.read(buffer.filled(), *id, is_cut) {
                return std::task::Poll::Ready(reply);
            }
        }
    })
    .await
}

impl Attempt {
    async fn at(server: SocketAddr) -> io::Result<Self> {
        let local: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(local).await?;
        socket.connect(server).await?;
        Ok(Self {
            server,
            socket,
            id: random::u16()?,
        })
    }
}

/// Asks the servers in turn over TCP, each once. RFC 1035 section 4.2.2.
async fn ask_over_tcp(servers: &[SocketAddr], question: &Question) -> io::Result<Found> {
    let mut failure = timed_out();
    for &server in servers {
        let attempt = async {
            let mut stream = timeout(TCP_LIMIT, TcpStream::connect(server)).await??;
            timeout(TCP_LIMIT, converse(&mut stream, question)).await?
        };
        match attempt.await {
            Ok(found) => return Ok(found),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Asks on `stream`, and reads of the answer what the question needs.
async fn converse(stream: &mut TcpStream, question: &Question) -> io::Result<Found> {
    let protocol_error = || io::Error::from_raw_os_error(errno::EPROTO);
    let id = random::u16()?;
    let packet = question.packet(id);
    let length = u16::try_from(packet.len()).map_err(|_| protocol_error())?;
    stream
        .write_all(&[&length.to_be_bytes(), &packet[..]].concat())
        .await?;
    let length = usize::from(stream.read_u16().await.map_err(closed)?);
    let mut packet = vec![0; length.min(question.answer_bytes())];
    stream.read_exact(&mut packet).await.map_err(closed)?;
    match question.read(&packet, id, packet.len() < length) {
        Some(Ok(Reply::Answer(records, ttl))) => Ok((records, ttl)),
        Some(Err(error)) => Err(error),
        Some(Ok(Reply::Truncated)) | None => Err(protocol_error()),
    }
}

/// The original's word for a server that closes before it has answered.
fn closed(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::from_raw_os_error(errno::EIO),
        _ => error,
    }
}

fn timed_out() -> io::Error {
    io::Error::from_raw_os_error(errno::ETIMEDOUT)
}
