//! How a service ends: in stages, of which each connection may take its own notice.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::cli::{Opt, seconds};

/// How a server ends that waits for its connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drain {
    /// How long to wait for them.
    pub wait: Duration,
    /// Then ask those that are left to end, and end them after so long.
    pub kill: Option<Duration>,
}

/// Completes "option --drain needs".
const SECONDS: &str = "a number of seconds";

impl Drain {
    /// The options for it; without any, connections are not waited for.
    pub const OPTIONS: &'static [Opt<Option<Self>>] = &[
        Opt::value(
            "drain",
            "seconds",
            "at SIGTERM, wait for connections to end, at most this long",
            |drain, value| {
                drain.get_or_insert_default().wait = value.parse(SECONDS, seconds)?;
                Ok(())
            },
        ),
        Opt::value(
            "kill",
            "seconds",
            "then end those that are left: SIGTERM for a program, and SIGKILL after this long",
            |drain, value| {
                let patience = value.parse(SECONDS, seconds)?;
                drain.get_or_insert_default().kill = Some(patience);
                Ok(())
            },
        ),
    ];
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Connections go on.
    #[default]
    Serve,
    /// Each is let go of where it is, to be gone on with: by the next version of this program, or after all by this one.
    Recall,
    /// The end has begun: who has nothing to finish may leave.
    Leave,
    /// Who is left is asked to end: SIGTERM for a program.
    Ask,
    /// Who is left is ended: SIGKILL.
    Kill,
}

/// The stage that a service is in, and the news of the next one. Clones are of the same service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stages(Rc<(Cell<Stage>, Notify)>);

impl Stages {
    /// Begins `stage`.
    pub(super) fn begin(&self, stage: Stage) {
        self.0.0.set(stage);
        self.0.1.notify_waiters();
    }

    /// The stage that it is in.
    pub(crate) fn now(&self) -> Stage {
        self.0.0.get()
    }

    /// Waits for `stage`, or a later one.
    pub(crate) async fn reach(&self, stage: Stage) {
        while self.now() < stage {
            self.0.1.notified().await;
        }
    }

    /// Waits for the stage after `known`, forever after the last; or for the one in which all are let go of, which comes at
    /// any time.
    pub(crate) async fn after(&self, known: Stage) -> Stage {
        while self.now() <= known && self.now() != Stage::Recall {
            self.0.1.notified().await;
        }
        self.now()
    }

    /// Waits for the stage in which all are let go of.
    pub(crate) async fn recall(&self) {
        while self.now() != Stage::Recall {
            self.0.1.notified().await;
        }
    }

    /// Waits until that is over.
    pub(super) async fn go_on(&self) {
        while self.now() == Stage::Recall {
            self.0.1.notified().await;
        }
    }
}
