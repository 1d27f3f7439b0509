//! What workers write to descriptor 2, line by line, each with its worker's pid before it.

use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use tokio::io::unix::AsyncFd;

use crate::cli::Voice;
use crate::service::{Packer, Unpacker};
use crate::sys::process::Pid;
use crate::sys::{fd, watch};

/// A longer line is cut into several.
const LINE_MAX: usize = 1000;

/// Where workers write to, each line passed on as `name: worker PID: ` and the line.
pub(super) struct Errors {
    voice: Voice,
    open: RefCell<Vec<Rc<Source>>>,
}

/// Where one worker writes to.
pub(super) struct Source {
    pid: Pid,
    stderr: AsyncFd<OwnedFd>,
    /// The line that has begun.
    line: RefCell<Vec<u8>>,
}

impl Errors {
    pub(super) fn new(voice: Voice) -> Rc<Self> {
        Rc::new(Self {
            voice,
            open: RefCell::default(),
        })
    }

    /// Starts a task that passes on what comes from `stderr`. A pipe that cannot be watched is closed, and what the worker
    /// writes then is lost.
    pub(super) fn pass_on(self: &Rc<Self>, stderr: OwnedFd, pid: Pid) {
        self.go_on_with(stderr, pid, Vec::new());
    }

    fn go_on_with(self: &Rc<Self>, stderr: OwnedFd, pid: Pid, line: Vec<u8>) {
        if let Ok(stderr) = fd::set_nonblocking(&stderr).and_then(|()| watch::readable(stderr)) {
            let source = Rc::new(Source {
                pid,
                stderr,
                line: RefCell::new(line),
            });
            self.open.borrow_mut().push(Rc::clone(&source));
            let errors = Rc::clone(self);
            tokio::task::spawn_local(async move {
                source.copy(errors.voice).await;
                let is_another = |other: &Rc<Source>| !Rc::ptr_eq(other, &source);
                errors.open.borrow_mut().retain(is_another);
            });
        }
    }

    /// Those that are open.
    pub(super) fn sources(&self) -> Vec<Rc<Source>> {
        self.open.borrow().clone()
    }

    /// Goes on with those that were packed.
    pub(super) fn go_on(self: &Rc<Self>, from: &mut Unpacker<'_>) -> Option<()> {
        let goes_on = |from: &mut Unpacker<'_>| {
            let pid = from.number::<u32>()?.try_into().ok()?;
            let line = from.bytes()?.to_vec();
            let stderr = fd::take_inherited(from.text()?).ok()?;
            self.go_on_with(stderr, pid, line);
            Some(())
        };
        from.list(goes_on).map(drop)
    }
}

impl Source {
    pub(super) fn pack(&self, to: &mut Packer) {
        to.number(self.pid.unsigned_abs());
        to.bytes(&self.line.borrow());
        to.text(self.stderr.as_raw_fd());
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.stderr.get_ref().as_fd()
    }

    async fn copy(&self, voice: Voice) {
        let mut room = [0; LINE_MAX];
        while let Ok(mut ready) = self.stderr.readable().await {
            let Ok(read) = ready.try_io(|stderr| fd::read(stderr.get_ref(), &mut room)) else {
                continue;
            };
            let Ok(length @ 1..) = read else { break };
            self.hear(&room[..length], voice);
            // Another takes its turn, whatever this one has to say.
            tokio::task::yield_now().await;
        }
        if !self.line.borrow().is_empty() {
            self.say(voice);
        }
    }

    fn hear(&self, bytes: &[u8], voice: Voice) {
        for &byte in bytes {
            if byte != b'\n' {
                self.line.borrow_mut().push(byte);
            }
            if byte == b'\n' || self.line.borrow().len() == LINE_MAX {
                self.say(voice);
            }
        }
    }

    fn say(&self, voice: Voice) {
        let before = format!("worker {}: ", self.pid);
        voice.warn(&[before.as_bytes(), &self.line.take()]);
    }
}
