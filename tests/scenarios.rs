//! All that is played: one list of trials, in families that are the first word of a name.
//!
//! | family | |
//! |---|---|
//! | `oracle` | every sentence of `tests/scenarios`, on ours and on ucspi-tcp |
//! | `names` | names and ident: sentences, and what ours promises beyond the original |
//! | `ipv6` | sentences of ucspi-tcp-ipv6, what ours alone can do, and two networks joined by a wire |
//! | `clients` | programs whose ports are fixed, with scripted servers |
//! | `peers` | the small programs with real programs of others |
//! | `examples` | every script in `examples` |
//!
//! A sentence is one named result per side: `oracle::tcpserver::sentence` for ours, with ` [original]` after it for the
//! original, which is played where `UCSPI_ORACLE_DIR` says that it is. Both are compared with recorded transcripts, in
//! `tests/golden`, `tests/names/golden` and `tests/ipv6/golden`.
//!
//! * `cargo test --test scenarios tcpserver::` plays those whose names contain that.
//! * `ci/oracle` fetches the originals and plays them in the same run.
//! * `UCSPI_GOLDEN=write ci/oracle` records what the originals do; `UCSPI_GOLDEN=write-subject cargo test --test scenarios`
//!   records what ours do, only for scenarios that carry `.differs(...)`. Then review the difference.
//! * `UCSPI_SUBJECT_DIR` names another directory of programs to test in place of ours; `ci/installed` does.
//! * `UCSPI_DEADLINE` gives the seconds after which a wait is a failure.
//!
//! What needs fixed ports, an `/etc` or name servers has a network of its own (`support::own_net`): nothing outside is
//! asked, disturbed or needed. Where the system does not permit that, each such trial says that it was skipped; with
//! `UCSPI_NETNS_REQUIRED=1` it fails instead.

mod clients;
mod examples;
mod ipv6;
mod names;
mod peers;
#[path = "scenarios/mod.rs"]
mod scenarios;
mod support;

use std::process::ExitCode;

use support::golden::Mode;
use support::{own_net, play, trials};

fn main() -> ExitCode {
    let part = own_net::prepare();
    support::launch::occupy_low_descriptors();
    let mut families = vec![
        ("names", play::trials(names::family())),
        ("oracle", play::trials(scenarios::family())),
        ("ipv6", play::trials(ipv6::family())),
    ];
    if Mode::from_env() == Ok(Mode::Check) {
        families.extend([
            ("names", names::trials()),
            ("ipv6", ipv6::trials()),
            ("clients", clients::trials()),
            ("peers", peers::trials()),
            ("examples", examples::trials()),
        ]);
    }
    let trials = families.into_iter().flat_map(|(family, trials)| {
        let trials = trials.into_iter().map(move |trial| trial.of(family));
        trials.filter(|trial| part.has(trial.in_own_net))
    });
    part.and_the_other(trials::main(trials.collect()))
}
