//! The loops that carry sessions: one on the thread that accepts and connects, under the runtime, and one on each further
//! thread.
//!
//! A session begins where it was accepted. One that lasts is handed to the loop that has the fewest: so short ones do not pay
//! for waking another thread, and few long ones are kept apart, where the kernel would spread connections over one listener
//! for each thread by a hash. docs/decisions.md has the numbers.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::carry::{Carrier, Ended, FOREIGN, How, PIPES_MAX, Session, Side, Wire};
use super::log::Log;
use super::targets::Lease;
use crate::cli::{During, Error, FAILED};
use crate::service::{End, Entered, Slot};
use crate::sys::bell::Bell;
use crate::sys::epoll::NEWS_MAX;
use crate::sys::watch;

/// What belongs to a session besides its two sockets. All that counts it lets go when it is dropped.
#[derive(Debug)]
pub(super) struct Cargo {
    pub(super) number: u32,
    pub(super) began: Instant,
    pub(super) lease: Lease,
    pub(super) held: Held,
}

/// What counts a session, until it is dropped.
pub(super) type Held = (Slot, Option<Box<Entered>>);

/// The loops.
pub(super) struct Carriers {
    log: Log,
    here: Rc<Here>,
    /// While they are paused.
    paused: RefCell<Vec<Carrier<Cargo>>>,
}

/// The loop under the runtime.
struct Here {
    carrier: RefCell<Carrier<Cargo>>,
    others: RefCell<Vec<Other>>,
    /// There is something to do that its set does not tell.
    news: Notify,
}

/// A loop on a thread of its own.
struct Other {
    mailbox: Arc<Mailbox>,
    thread: JoinHandle<Carrier<Cargo>>,
}

struct Mailbox {
    letters: Mutex<Vec<Letter>>,
    bell: Bell,
    /// How many sessions it has, or will have when it has read its letters.
    sessions: AtomicUsize,
}

enum Letter {
    Adopt(Session<Cargo>),
    /// Say what there is to say about each session.
    Tell,
    EndAll,
    /// Give the sessions back, and end.
    Stop,
}

/// A session that is handed to a carrier.
pub(super) struct Handed {
    pub(super) client: Wire,
    pub(super) remote: Wire,
    pub(super) idle: Option<Duration>,
    pub(super) cargo: Cargo,
}

/// What a carrier's thread may need of stack, in bytes: a turn is a few frames, and every one is counted where memory is
/// limited (`softlimit -m`).
const STACK_BYTES: usize = 128 << 10;

impl Carriers {
    /// Loops for `threads` threads, this one included. Must be called inside the runtime.
    ///
    /// # Errors
    /// 111: no descriptors, or no thread.
    pub(super) fn start(threads: usize, log: Log) -> Result<Self, Error> {
        let pipes = (PIPES_MAX / threads.max(1)).max(1);
        let carrier = || Carrier::new(pipes).during("start");
        let first = carrier()?;
        let set = first.set().as_fd().try_clone_to_owned().during("start")?;
        let others = (1..threads).map(|_| Other::start(carrier()?, log).during("start a thread"));
        let here = Rc::new(Here {
            carrier: RefCell::new(first),
            others: RefCell::new(others.collect::<Result<_, _>>()?),
            news: Notify::new(),
        });
        let set = watch::readable(set).during("start")?;
        tokio::task::spawn_local(Rc::clone(&here).carry(set, log));
        tokio::task::spawn_local(Rc::clone(&here).look_after_idle(log));
        Ok(Self {
            log,
            here,
            paused: RefCell::default(),
        })
    }

    /// Carries a session from now on.
    pub(super) fn carry(&self, handed: Handed) {
        self.here.add(handed, self.log);
    }

    /// Says one line about each session, on descriptor 2.
    pub(super) fn tell(&self) {
        tell(&self.here.carrier.borrow(), self.log);
        self.write(|| Letter::Tell);
    }

    /// Ends all sessions by a reset.
    pub(super) fn end_all(&self) {
        let log = self.log;
        let conclude = &mut |ended| conclude(log, ended);
        self.here.carrier.borrow_mut().end_all(conclude);
        self.write(|| Letter::EndAll);
    }

    /// Ends the other threads, until [`Self::go_on`]: their sessions wait, and nothing is lost.
    pub(super) fn pause(&self) {
        for other in self.here.others.borrow_mut().drain(..) {
            other.mailbox.post(Letter::Stop);
            // A thread that has panicked has ended the process: release builds abort.
            self.paused.borrow_mut().extend(other.thread.join());
        }
    }

    /// Has the sessions go on after a pause, in this process or in a copy of it.
    ///
    /// # Errors
    /// 111: there is no thread for some.
    pub(super) fn go_on(&self) -> Result<(), Error> {
        for carrier in self.paused.borrow_mut().drain(..) {
            let other = Other::start(carrier, self.log).during("start a thread")?;
            self.here.others.borrow_mut().push(other);
        }
        Ok(())
    }

    fn write(&self, letter: impl Fn() -> Letter) {
        for other in &*self.here.others.borrow() {
            other.mailbox.post(letter());
        }
    }
}

/// What is to be done when a session has ended.
fn conclude(log: Log, ended: Ended<Cargo>) {
    let Ended {
        cargo,
        moved,
        how,
        remarks,
    } = ended;
    for (side, remark) in remarks {
        match side {
            Side::Client => log.secured(cargo.number, None, &remark),
            Side::Remote => log.secured(cargo.number, Some(&cargo.lease.0), &remark),
        }
    }
    cargo.lease.0.count_bytes(moved);
    let (code, served) = (
        if how == How::InOrder { 0 } else { FAILED },
        cargo.began.elapsed(),
    );
    let (_, entered) = cargo.held;
    if let Some(entered) = entered {
        entered.ended(End {
            status: Some(i32::from(code) << 8),
            served,
        });
    }
    log.ended(cargo.number, code, moved, served);
}

fn tell(carrier: &Carrier<Cargo>, log: Log) {
    for (cargo, moved) in carrier.sessions() {
        log.session(cargo.number, &cargo.lease.0, moved, cargo.began.elapsed());
    }
}

/// A session that was not added is at its end.
fn concluded(
    added: Result<(), (io::Error, Cargo)>,
    log: Log,
    conclude: &mut impl FnMut(Ended<Cargo>),
) {
    if let Err((error, cargo)) = added {
        log.dropped(b"watch connection", &error);
        conclude(Ended {
            cargo,
            moved: [0, 0],
            how: How::Asked,
            remarks: Vec::new(),
        });
    }
}

impl Here {
    fn add(&self, handed: Handed, log: Log) {
        let Handed {
            client,
            remote,
            idle,
            cargo,
        } = handed;
        let mut carrier = self.carrier.borrow_mut();
        let before = carrier.until_watch();
        let conclude = &mut |ended| conclude(log, ended);
        let added = carrier.add(client, remote, idle, cargo, conclude);
        concluded(added, log, conclude);
        let is_sooner = carrier
            .until_watch()
            .is_some_and(|until| before.is_none_or(|before| until < before));
        if is_sooner || carrier.is_unfinished() {
            self.news.notify_one();
        }
    }

    fn turn(&self, log: Log) -> io::Result<usize> {
        let mut carrier = self.carrier.borrow_mut();
        let done = carrier.turn(Some(Duration::ZERO), &mut |ended| conclude(log, ended));
        while let Some(place) = carrier.next_settled() {
            let others = self.others.borrow();
            let loads = others.iter().map(|other| (other.mailbox.load(), other));
            if let Some((load, other)) = loads.min_by_key(|(load, _)| *load)
                && load < carrier.len()
                && let Some(session) = carrier.release(place)
            {
                other.mailbox.adopt(session);
            }
        }
        done
    }

    /// Takes a turn whenever the set has something to tell.
    async fn carry(self: Rc<Self>, set: tokio::io::unix::AsyncFd<OwnedFd>, log: Log) {
        while let Ok(mut ready) = set.readable().await {
            // What comes after the turn makes the set readable anew, so that nothing is lost.
            ready.clear_ready();
            loop {
                let done = self.turn(log).unwrap_or(0);
                let is_unfinished = self.carrier.borrow().is_unfinished();
                if done < NEWS_MAX && !is_unfinished {
                    break;
                }
                // The others' turn: connections that were accepted, and those on the way.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Takes a turn when a session may have been idle for too long, and when there is news.
    async fn look_after_idle(self: Rc<Self>, log: Log) {
        loop {
            let until = self.carrier.borrow().until_watch();
            match until {
                None => self.news.notified().await,
                Some(until) => {
                    let _ = tokio::time::timeout(until, self.news.notified()).await;
                }
            }
            while self.turn(log).is_ok() && self.carrier.borrow().is_unfinished() {
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Other {
    fn start(carrier: Carrier<Cargo>, log: Log) -> io::Result<Self> {
        let bell = Bell::new()?;
        carrier.set().add(&bell, FOREIGN)?;
        let mailbox = Arc::new(Mailbox {
            letters: Mutex::default(),
            bell,
            sessions: AtomicUsize::new(carrier.len()),
        });
        let reader = Arc::clone(&mailbox);
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = thread.spawn(move || reader.work(carrier, log))?;
        Ok(Self { mailbox, thread })
    }
}

impl Mailbox {
    fn load(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    fn adopt(&self, session: Session<Cargo>) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        self.post(Letter::Adopt(session));
    }

    fn post(&self, letter: Letter) {
        self.letters().push(letter);
        self.bell.ring();
    }

    fn letters(&self) -> std::sync::MutexGuard<'_, Vec<Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of a thread: carries until it is told to stop.
    fn work(&self, mut carrier: Carrier<Cargo>, log: Log) -> Carrier<Cargo> {
        let conclude = &mut |ended| {
            self.sessions.fetch_sub(1, Ordering::Relaxed);
            conclude(log, ended);
        };
        loop {
            // An error is a lack of memory for a moment.
            let _ = carrier.turn(None, conclude);
            let letters = std::mem::take(&mut *self.letters());
            for letter in letters {
                match letter {
                    Letter::Adopt(session) => {
                        let added = carrier.adopt(session, conclude);
                        concluded(added, log, conclude);
                    }
                    Letter::Tell => tell(&carrier, log),
                    Letter::EndAll => carrier.end_all(conclude),
                    Letter::Stop => return carrier,
                }
            }
        }
    }
}
