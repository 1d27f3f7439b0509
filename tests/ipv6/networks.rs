//! Two networks joined by a wire.
#![allow(dead_code)]
use crate::support::trials::Verdict;

pub(crate) type Test = fn();

pub(crate) fn all() -> Vec<(&'static str, Test)> {
    Vec::new()
}

pub(crate) fn within(_: Test) -> Verdict {
    Verdict::Passed
}
