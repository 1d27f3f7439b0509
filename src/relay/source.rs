//! Where a plan comes from.

use super::filed::Filed;
use super::line::Line;
use super::plan::Plan;
use crate::cli::Error;

/// Where a plan comes from.
#[derive(Debug)]
pub enum Source {
    /// A command line: `host port remote ...`.
    Line(Box<Line>),
    /// A file.
    File(Box<Filed>),
}

impl Source {
    /// Reads the plan.
    ///
    /// # Errors
    /// 100: something is not written as it should be. 78: that is in a file of the file form. 111: a file cannot be read.
    pub(super) fn plan(&self) -> Result<Plan, Error> {
        match self {
            Self::Line(line) => line.plan(),
            Self::File(file) => file.plan(),
        }
    }
}
