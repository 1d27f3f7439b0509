//! The programs whose ports are fixed, against scripted servers, each test in a network of its own. Sentences about them
//! that need no more than a recorded transcript are in `tests/scenarios`.

mod http_at;
mod time_at;

use crate::support::trials::{self, Trial};

pub(crate) fn trials() -> Vec<Trial> {
    let times = trials::of_tests(time_at::TESTS).into_iter();
    let times = times.map(|trial| trial.of("time@"));
    let all = times.chain([http_at::trial()]);
    all.map(Trial::in_own_net).collect()
}
