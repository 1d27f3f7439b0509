//! A worker as plain data and descriptors, for the next version of this program.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Instant;

use tokio::io::unix::AsyncFd;

use super::{End, LineMatch, Protocol, Scanner, State, Talk, Worker};
use crate::service::{Packer, Unpacker};
use crate::sys::fd;
use crate::sys::process::{Ended, Pid};
use crate::ucspi::children::Children;

/// Our ends of a worker's pipes, to be kept open.
pub(in crate::pool) struct Pipes {
    worker: Rc<Worker>,
    stdin: Option<Rc<AsyncFd<OwnedFd>>>,
}

impl Pipes {
    pub(in crate::pool) fn of(worker: &Rc<Worker>) -> Self {
        Self {
            worker: Rc::clone(worker),
            stdin: worker.stdin.borrow().clone(),
        }
    }

    pub(in crate::pool) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let stdin = self.stdin.iter().map(|stdin| stdin.get_ref().as_fd());
        stdin.chain([self.worker.stdout.get_ref().as_fd()])
    }
}

impl Worker {
    /// All of it, but its queries, which the queue knows.
    pub(in crate::pool) fn pack(&self, to: &mut Packer, now: Instant) {
        if self.ended.get().is_none() {
            // Asked once only: this one may have to go on.
            self.ended.set(self.child.borrow_mut().has_ended());
        }
        to.number(self.pid.unsigned_abs());
        to.maybe(self.ended.get(), |to, ended| {
            to.number(ended.status.cast_unsigned());
        });
        to.moment(self.started, now);
        to.number(self.given.get());
        let stdin = self.stdin.borrow();
        let stdin = stdin.as_ref().map(|stdin| stdin.as_raw_fd());
        to.maybe(stdin, |to, number| to.text(number));
        to.text(self.stdout.as_raw_fd());
        let order = self.order.take();
        self.order.set(order);
        to.maybe(order, |to, how| to.number(how.number()));
        let state = self.state.borrow();
        to.maybe(state.ready, |to, ready| ready.pack(to));
        to.bytes(&state.unsent);
        state.scanner.pack(to);
        to.bytes(&state.reply);
        to.maybe(state.silence, |to, silence| to.moment(silence, now));
        to.number(state.has_ended);
        to.number(state.is_over);
    }

    /// One that was packed, which goes on with `talks`.
    pub(in crate::pool) fn unpack(
        from: &mut Unpacker<'_>,
        now: Instant,
        children: &Children,
        protocol: &Rc<Protocol>,
        talks: Vec<(u64, Rc<Talk>)>,
    ) -> Option<Rc<Self>> {
        let pid: Pid = from.number::<u32>()?.try_into().ok()?;
        let ended = from.maybe(|from| {
            Some(Ended {
                status: from.number::<u32>()?.cast_signed(),
                ..Ended::default()
            })
        })?;
        let started = from.moment(now)?;
        let given = Cell::new(from.number()?);
        let descriptor = |from: &mut Unpacker<'_>| fd::take_inherited(from.text()?).ok();
        let (stdin, stdout) = (from.maybe(descriptor)?, descriptor(from)?);
        let order = from.maybe(|from| End::of(from.number()?))?;
        let child = children.again(pid, ended);
        let worker = Self::new(child, stdin, stdout, protocol).ok()?;
        worker.order.set(order);
        for (_, talk) in &talks {
            talk.begin(pid, &worker.news);
        }
        let ready = from.maybe(LineMatch::unpack)?;
        let bytes = |from: &mut Unpacker<'_>| from.bytes().map(<[u8]>::to_vec);
        let state = State {
            ready,
            unsent: bytes(from)?,
            talks,
            scanner: Scanner::unpack(from, protocol.reply, protocol.max_reply)?,
            reply: bytes(from)?,
            silence: from.maybe(|from| from.moment(now))?,
            has_ended: from.flag()?,
            is_over: from.flag()?,
        };
        // It may have something to write, or an order to obey.
        worker.news.notify_one();
        Some(Rc::new(Self {
            started,
            given,
            state: RefCell::new(state),
            ..worker
        }))
    }
}
