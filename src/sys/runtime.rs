//! The one thread that waits for several things at once.

use std::cell::OnceCell;
use std::io;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

/// tokio's runtime for the calling thread, and the tasks that live on it.
#[derive(Debug)]
pub struct Runtime {
    runtime: tokio::runtime::Runtime,
    tasks: LocalSet,
}

impl Runtime {
    /// A runtime without tasks. It holds descriptors of its own, all close-on-exec, until it is dropped.
    ///
    /// # Errors
    /// No descriptor, or no memory for it.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            runtime: Builder::new_current_thread().enable_all().build()?,
            tasks: LocalSet::new(),
        })
    }

    /// Runs `work` to its end, and the tasks beside it.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.tasks.block_on(&self.runtime, work)
    }
}

/// A runtime that is made when there is something to wait for.
#[derive(Debug, Default)]
pub struct Late(OnceCell<Runtime>);

impl Late {
    /// Runs `work` to its end, and the tasks beside it.
    ///
    /// # Errors
    /// As [`Runtime::new`].
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> io::Result<T> {
        let runtime = match self.0.get() {
            Some(runtime) => runtime,
            None => {
                let runtime = Runtime::new()?;
                self.0.get_or_init(|| runtime)
            }
        };
        Ok(runtime.wait(work))
    }
}
