//! The children of a server: making one for a connection, and learning how each ended.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::tree::{Lifetime, Tree};
use crate::service::{Packer, Signals, Stages, Unpacker};
use crate::sys::cgroup::Cgroups;
use crate::sys::process::{self, Ended, Pid};
use crate::sys::signal::Signal;
use crate::sys::spawn::{Failure, PidLine, Spawner, Streams};

/// All children that are running, each with who waits for its end.
#[derive(Debug)]
pub(crate) struct Children {
    spawner: RefCell<Spawner>,
    running: RefCell<BTreeMap<Pid, oneshot::Sender<Ended>>>,
    /// How long each connection may last.
    lifetime: Option<Lifetime>,
    /// Where each connection's processes have a control group of their own.
    cgroups: Option<Cgroups>,
}

/// From how many children on a look at all of them is dearer than to ask for one.
const MANY: usize = 100;
/// A look at all children finds one that has ended. After so many of them that did, it is cheaper to ask for each by itself.
const LOOKS: usize = 4;
/// The pause between two looks for children that nothing tells of: so many times what the look took, so that looks take a
/// twentieth of the time.
const PAUSE: u32 = 19;
/// The longest such pause: an end is told of by then.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A child that was made.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    end: oneshot::Receiver<Ended>,
    tree: Tree,
}

impl Children {
    pub(crate) fn new(spawner: Spawner, lifetime: Option<Lifetime>) -> Self {
        Self {
            spawner: RefCell::new(spawner),
            running: RefCell::default(),
            lifetime,
            cgroups: lifetime.and_then(|_| Cgroups::ours()),
        }
    }

    /// Makes a child; see [`Spawner::spawn`]. If it is not the program, and ends at once, with why.
    ///
    /// # Errors
    /// No process could be made.
    pub(crate) fn spawn<'a>(
        &self,
        streams: Streams<'_>,
        environment: impl IntoIterator<Item = &'a CStr>,
        lines: &mut [PidLine],
    ) -> io::Result<(Child, Option<Failure>)> {
        let mut spawner = self.spawner.borrow_mut();
        // Where there is none to be had, the process group has to do.
        let cgroups = self.cgroups.as_ref();
        let (cgroup, entrance) = cgroups.and_then(|cgroups| cgroups.make().ok()).unzip();
        let entrance = entrance.as_ref().map(AsFd::as_fd);
        let (pid, failure) = spawner.spawn(streams, environment, lines, entrance)?;
        let child = Child {
            pid,
            end: self.expect(pid),
            tree: Tree::new(pid, spawner.has_own_groups(), cgroup, self.lifetime),
        };
        Ok((child, failure))
    }

    /// A child of this process from before an exec, which [`Child::pack`] has packed; if it has ended, with how.
    pub(super) fn unpack(&self, from: &mut Unpacker<'_>, end: Option<Ended>) -> Option<Child> {
        let tree = Tree::unpack(from, self.cgroups.as_ref())?;
        let pid = tree.pid();
        Some(Child {
            pid,
            end: self.expect_after(pid, end),
            tree,
        })
    }

    /// The child `pid` of this process from before an exec, of which nothing but its end matters; if it has ended, with how.
    pub(crate) fn again(&self, pid: Pid, end: Option<Ended>) -> Child {
        Child {
            pid,
            end: self.expect_after(pid, end),
            tree: Tree::new(pid, false, None, None),
        }
    }

    /// Word of the end of the child `pid`, which may have come.
    fn expect_after(&self, pid: Pid, end: Option<Ended>) -> oneshot::Receiver<Ended> {
        end.map_or_else(|| self.expect(pid), told)
    }

    /// Word of the end of the child `pid`, when it comes.
    pub(super) fn expect(&self, pid: Pid) -> oneshot::Receiver<Ended> {
        let (ended, end) = oneshot::channel();
        self.running.borrow_mut().insert(pid, ended);
        end
    }

    /// Starts a task that reaps each child that has ended and wakes who waits for it.
    ///
    /// A child that we did not make (one of the process that we were before an exec, an orphan where we are process 1) is
    /// reaped and means nothing.
    ///
    /// # Errors
    /// No descriptor for SIGCHLD.
    pub(crate) fn reap_always(self: &Rc<Self>) -> io::Result<()> {
        let ends = Signals::of(&[Signal::SIGCHLD])?;
        let children = Rc::clone(self);
        tokio::task::spawn_local(async move {
            loop {
                let start = Instant::now();
                children.reap_all();
                let pause = (start.elapsed() * PAUSE).min(PAUSE_MAX);
                children.is_time_to_look(&ends, pause).await;
            }
        });
        Ok(())
    }

    /// Waits until all children are to be looked at again, after a look that is worth such a `pause`.
    ///
    /// A signal tells of one child only, whatever others ended while it was pending; and the kernel looks at them one by
    /// one. So while many run, the one that is told of is reaped at once, and the others' turn comes after the pause.
    async fn is_time_to_look(&self, ends: &Signals, pause: Duration) {
        let mut told = ends.events().await;
        if self.running.borrow().len() < MANY {
            return;
        }
        let pause = tokio::time::sleep(pause);
        tokio::pin!(pause);
        loop {
            for event in &told {
                self.reap(Some(event.sender));
            }
            tokio::select! {
                () = &mut pause => return,
                more = ends.events() => told = more,
            }
        }
    }

    /// Leaves nothing behind that the next version of this program does not know of.
    pub(super) fn sweep(&self) {
        if let Some(cgroups) = &self.cgroups {
            cgroups.sweep();
        }
    }

    /// Leaves nothing behind that nobody needs, before this process ends.
    pub(super) fn tidy(&self) {
        if let Some(cgroups) = &self.cgroups {
            cgroups.tidy();
        }
    }

    /// Reaps all children that have ended.
    fn reap_all(&self) {
        loop {
            for _ in 0..LOOKS {
                if !self.reap(None) {
                    return;
                }
            }
            let running: Vec<Pid> = self.running.borrow().keys().copied().collect();
            if running.len() >= MANY {
                for child in running {
                    self.reap(Some(child));
                }
            }
        }
    }

    /// Reaps `child`, or any, if it has ended; false when not.
    fn reap(&self, child: Option<Pid>) -> bool {
        let Ok(Some((pid, end))) = process::reap(child) else {
            return false;
        };
        if let Some(ended) = self.running.borrow_mut().remove(&pid) {
            let _ = ended.send(end);
        }
        true
    }
}

/// Word of an end that has come.
fn told(end: Ended) -> oneshot::Receiver<Ended> {
    let (ended, told) = oneshot::channel();
    let _ = ended.send(end);
    told
}

impl Child {
    /// How the child ended, when it has.
    pub(crate) async fn gone(&mut self) -> Ended {
        poll_fn(|context| self.poll_gone(context)).await
    }

    /// The same.
    pub(crate) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        // The sender lives in `Children::running` until it has sent.
        Pin::new(&mut self.end)
            .poll(context)
            .map(Result::unwrap_or_default)
    }

    /// How the child ended, when it has, as `stages` or its lifetime may ask it to; nothing when it is let go of.
    pub(super) async fn ended(&mut self, stages: &Stages) -> Option<Ended> {
        loop {
            tokio::select! {
                // First: a child that was reaped must not be sent a signal, which might be another's.
                biased;
                // Not by `gone`, which would borrow the tree too.
                end = &mut self.end => return Some(end.unwrap_or_default()),
                is_let_go = self.tree.be_told(stages) => if is_let_go {
                    return None;
                }
            }
        }
    }

    /// True when it was told to end: then its connection lasts until nobody of it is left.
    pub(super) fn was_told(&self) -> bool {
        self.tree.was_told()
    }

    /// Sees to it, once the child has ended, that all that it started ends as it had to: waits for that if it was told to
    /// end, or has a lifetime. True when it is let go of before.
    pub(super) async fn leave(&mut self, stages: &Stages) -> bool {
        // In a box: few connections come here, and all would hold the room.
        self.tree.will_be_told() && Box::pin(self.tree.is_gone(stages)).await
    }

    /// How it has ended, if that came when it was let go of already.
    pub(crate) fn has_ended(&mut self) -> Option<Ended> {
        let end = self.end.try_recv().ok()?;
        // Who let go of it may have to go on with it.
        self.end = told(end);
        Some(end)
    }

    /// All that the next version of this program has to know of it.
    pub(super) fn pack(&self, to: &mut Packer) {
        self.tree.pack(to);
    }
}

#[cfg(test)]
mod tests {
    use super::{Child, told};
    use crate::service::Stages;
    use crate::sys::process::Ended;
    use crate::sys::runtime::Runtime;
    use crate::ucspi::tree::Tree;

    /// A server whose next version cannot be had goes on with what it has told already.
    #[test]
    fn end_that_was_looked_at_is_told_again() {
        let end = Ended {
            status: 7,
            ..Ended::default()
        };
        let mut child = Child {
            pid: 1,
            end: told(end),
            tree: Tree::new(1, false, None, None),
        };
        assert_eq!(child.has_ended().map(|end| end.status), Some(7));
        assert_eq!(child.has_ended().map(|end| end.status), Some(7));
        let runtime = Runtime::new().expect("a runtime");
        let ended = runtime.wait(child.ended(&Stages::default()));
        assert_eq!(ended.map(|end| end.status), Some(7));
    }
}
