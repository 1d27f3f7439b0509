//! Finding out whether remotes live, without a session: each is connected to every so often, and may have to answer.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::connection::{Current, Relay};
use super::remotes::{Flaw, Remotes, announce, connect};
use super::targets::Target;
use super::written;
use crate::sys::{errno, socket, watch};
use crate::ucspi::proxy::Header;

/// How remotes are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) every: Duration,
    /// How long one may take.
    pub(super) timeout: Duration,
    /// How many in a row must succeed until a dead remote is alive.
    pub(super) rise: u32,
    /// How many in a row must fail until a live remote is dead.
    pub(super) fall: u32,
}

/// How much of an answer is read to find what is expected in it, in bytes.
const ANSWER_MAX: usize = 16 << 10;

/// Checks that go on until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Checking(Vec<JoinHandle<()>>);

impl Drop for Checking {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// Checks the remotes that are in force, if `check` says how.
pub(super) fn start(relay: &Rc<Relay>, check: Option<Check>) -> Checking {
    let Some(check) = check else {
        return Checking::default();
    };
    let remotes = Rc::clone(&relay.current.borrow().remotes);
    let tasks = (0..remotes.targets.len()).map(|index| {
        let (relay, remotes) = (Rc::clone(relay), Rc::clone(&remotes));
        tokio::task::spawn_local(async move { watch_over(&relay, &remotes, index, check).await })
    });
    Checking(tasks.collect())
}

/// Checks one remote for ever.
async fn watch_over(relay: &Relay, remotes: &Remotes, index: usize, check: Check) {
    // How many agreed in a row that it is not what it is taken for.
    let mut against = 0;
    loop {
        let target = &remotes.targets[index];
        let current = Rc::clone(&relay.current.borrow());
        let found = timeout(check.timeout, once(target, &current, check.timeout)).await;
        let found = found.unwrap_or_else(|_| Err(timed_out()));
        let verdict = match found {
            Ok(()) => Some(None),
            Err(Flaw::Remote(why)) => Some(Some(why)),
            // It says nothing of the remote.
            Err(Flaw::Wish(_) | Flaw::Ours(_)) => None,
        };
        if let Some(flaw) = verdict {
            let is_taken_for_alive = remotes.takes_for_alive(index);
            against = if flaw.is_none() == is_taken_for_alive {
                0
            } else {
                against + 1
            };
            match flaw {
                None if against >= check.rise => remotes.is_alive(index, relay.log),
                Some(why) if against >= check.fall => remotes.is_dead(index, &why, relay.log),
                _ => {}
            }
        }
        sleep(check.every).await;
    }
}

fn timed_out() -> Flaw {
    io::Error::from_raw_os_error(errno::ETIMEDOUT).into()
}

/// One check.
///
/// # Errors
/// The remote does not live, or we lack something.
async fn once(target: &Target, current: &Current, limit: Duration) -> Result<(), Flaw> {
    let connection = connect(target, current.terms.local, limit).await?;
    // "The receiver must accept this connection as valid and must use the real connection endpoints": ours.
    announce(&connection, target, &Header::default())?;
    let Some(name) = &target.server else {
        talk(target, &connection).await?;
        // Nothing of it stays, here or there.
        socket::reset(connection);
        return Ok(());
    };
    let (stream, carry) = Box::pin(current.outward.open(connection, name)).await?;
    let talk = async {
        let talked = talk(target, &stream).await;
        // The carrying ends then, when what was said is sent.
        drop(stream);
        talked
    };
    let (talked, ()) = tokio::join!(talk, carry);
    Ok(talked?)
}

/// What a check says and waits for.
async fn talk(target: &Target, connection: &OwnedFd) -> io::Result<()> {
    let written::Check { send, expect } = &target.written.check;
    if let Some(text) = send {
        send_all(connection, text).await?;
    }
    if let Some(text) = expect {
        wait_for(connection, text).await?;
    }
    Ok(())
}

async fn send_all(connection: &OwnedFd, mut text: &[u8]) -> io::Result<()> {
    let writable = watch::writable(connection.as_fd())?;
    while !text.is_empty() {
        let mut ready = writable.writable().await?;
        match socket::send_now(connection, text) {
            Ok(sent) => text = &text[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until `text` has come.
async fn wait_for(connection: &OwnedFd, text: &[u8]) -> io::Result<()> {
    let readable = watch::readable(connection.as_fd())?;
    let mut answer = vec![0; ANSWER_MAX];
    let mut length = 0;
    while memchr::memmem::find(&answer[..length], text).is_none() {
        let mut ready = readable.readable().await?;
        match socket::receive_now(connection, &mut answer[length..]) {
            // The end, or no room for more: it is not in there.
            Ok(0) => return Err(io::Error::from_raw_os_error(errno::EPROTO)),
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
