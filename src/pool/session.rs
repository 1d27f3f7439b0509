//! A conversation with one client as data: what is waited for in it may be dropped at any time, and it goes on.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use super::client::{Client, Manners, Parts};
use super::frame::Scanner;
use super::queue::QueryId;
use super::talk::Talk;
use crate::service::{Packer, Unpacker};
use crate::sys::process::Pid;

/// A conversation.
pub(super) struct Session {
    pub(super) client: Client,
    /// How many queries it has asked.
    pub(super) asked: u32,
    pub(super) turn: Turn,
}

/// Whose turn it is.
pub(super) enum Turn {
    /// The client's, since then: it asks.
    Asking(Instant),
    /// A worker's: a query is being answered.
    Waiting(Pending),
    /// Ours: it gets what it is still to get. Then it may ask another query, or not.
    Told(bool),
    /// The query is over. It may ask another one, or not.
    Over(bool),
    /// It has got all. It may go on to say what nobody wants to hear, since then.
    Parting(Option<Instant>),
}

/// A query that is being answered.
pub(super) struct Pending {
    /// The queue's.
    pub(super) id: QueryId,
    pub(super) talk: Rc<Talk>,
    /// How long it is, so far.
    pub(super) length: u64,
    /// Of one that comes in parts.
    pub(super) parts: Option<Box<Parts>>,
}

impl Session {
    /// A client that is to ask.
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            asked: 0,
            turn: Turn::Asking(Instant::now()),
        }
    }

    /// What it waits for.
    pub(super) fn pending(&self) -> Option<&Pending> {
        match &self.turn {
            Turn::Waiting(pending) => Some(pending),
            _ => None,
        }
    }

    /// All of it, but the talk that it waits for.
    pub(super) fn pack(&self, to: &mut Packer) {
        self.client.pack(to);
        to.number(self.asked);
        let kind: u8 = match self.turn {
            Turn::Asking(_) => 0,
            Turn::Waiting(_) => 1,
            Turn::Told(_) => 2,
            Turn::Over(_) => 3,
            Turn::Parting(_) => 4,
        };
        to.number(kind);
        match &self.turn {
            Turn::Asking(since) => to.past(*since),
            Turn::Waiting(pending) => {
                to.number(pending.id);
                to.number(pending.length);
                to.maybe(pending.parts.as_ref(), |to, parts| {
                    parts.scanner.pack(to);
                    to.past(parts.since);
                });
            }
            Turn::Told(goes_on) | Turn::Over(goes_on) => to.number(*goes_on),
            Turn::Parting(since) => to.maybe(*since, Packer::past),
        }
    }

    /// One that was packed, of the connection `number`.
    pub(super) fn unpack(
        from: &mut Unpacker<'_>,
        number: Pid,
        manners: &Manners,
        talks: &BTreeMap<QueryId, Rc<Talk>>,
    ) -> Option<Self> {
        let client = Client::unpack(from, number)?;
        let asked = from.number()?;
        let turn = match from.number::<u8>()? {
            0 => Turn::Asking(from.past()?),
            1 => {
                let id = from.number()?;
                Turn::Waiting(Pending {
                    id,
                    talk: Rc::clone(talks.get(&id)?),
                    length: from.number()?,
                    parts: from.maybe(|from| {
                        let scanner = Scanner::unpack(from, manners.query, manners.max_query)?;
                        let since = from.past()?;
                        Some(Box::new(Parts { scanner, since }))
                    })?,
                })
            }
            2 => Turn::Told(from.flag()?),
            3 => Turn::Over(from.flag()?),
            _ => Turn::Parting(from.maybe(Unpacker::past)?),
        };
        Some(Self {
            client,
            asked,
            turn,
        })
    }
}
