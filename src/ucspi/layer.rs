//! What may stand between a connection and its program: somebody who speaks with the peer before there is a program, and
//! then carries bytes between the two. This room knows no such layer; who has one brings it to [`super::server`].

use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;

use crate::cli::Error;
use crate::sys::signal::Signal;

/// Work that goes on beside everything else.
pub(crate) type Work<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Says something of a connection: a line `NAME NUMBER WORDS`, of which it is given the words.
pub(crate) type Tell = Rc<dyn Fn(&[u8])>;

/// A layer, for all connections of a server.
pub(crate) trait Layer: Debug {
    /// How its lines begin.
    fn name(&self) -> &'static str;

    /// What environments call a connection with it: the value of `PROTO`, and the beginning of further names for all that
    /// begins with `TCP`.
    fn protocol(&self) -> &'static str;

    /// Signals that it waits for.
    fn signals(&self) -> &'static [Signal];

    /// What it takes to meet a peer, in bytes.
    fn appetite(&self) -> usize;

    /// Meets the peer of a connection that was let in, within a time of its own. Gives also the program's descriptors 0 and
    /// 1.
    ///
    /// The error is why the connection cannot be served, as words for the log.
    fn meet(&self, connection: OwnedFd) -> Work<'_, Result<(OwnedFd, Met), String>>;

    /// Does what is to be done beside connections. Returns when the server cannot go on, and why.
    fn work(&self) -> Work<'_, Error>;
}

/// A connection whose peer was met.
pub(crate) struct Met {
    /// More descriptors for it, which survive exec under the numbers that they have.
    pub(crate) others: Vec<OwnedFd>,
    /// Settings of its environment, `NAME=value`, and names without `=` that are to be removed.
    pub(crate) settings: Vec<Vec<u8>>,
    /// Words to be said before the program can say anything; none to say nothing.
    pub(crate) words: Vec<u8>,
    /// Carries the bytes of both directions to their end.
    pub(crate) carry: Box<dyn FnOnce(Tell) -> Work<'static, ()>>,
}
