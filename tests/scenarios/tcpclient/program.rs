//! What the program is started with.

use std::fs::File;

use nix::sys::signal::Signal;

use super::{LOCALHOST, as_it_is, connected, run_connected};
use crate::scenarios::{exec, passed_on};
use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::probe;
use crate::support::process::Outcome;
use crate::support::scene::Scene;

pub(crate) fn fill(book: &mut Book) {
    book.add("program_reads_from_6_and_writes_to_7", |s| {
        connected(
            s,
            &["-HRl0"],
            &["sh", "-c", "echo hello >&7; cat <&6"],
            as_it_is,
            |peer| {
                peer.receive_line();
                peer.send("well met\n");
                peer.half_close();
            },
        );
    });
    book.add("program_reads_its_own_stdin", |s| {
        connected(
            s,
            &["-HRl0"],
            &["sh", "-c", "cat >&7"],
            |launch| launch.input("from stdin\n"),
            |peer| peer.receive_all(),
        );
    });
    book.add("descriptors_6_and_7_are_one_socket", |s| {
        descriptors(s, as_it_is)
    });
    book.add("old_descriptors_6_and_7_are_closed", |s| {
        descriptors(s, |launch| launch.inherit(6, zero()).inherit(7, zero()));
    });
    book.add("other_descriptors_pass_through", |s| {
        descriptors(s, |launch| {
            launch
                .inherit(3, zero())
                .inherit(5, zero())
                .inherit(8, zero())
        });
    });
    book.add("closed_stdin_stays_closed", |s| {
        descriptors(s, |launch| launch.closed(0))
    });
    book.add("closed_stderr_stays_closed", |s| {
        descriptors(s, |launch| launch.closed(2))
    });
    book.add("nodelay_is_set_only_when_asked_for", |s| {
        for option in ["-d", "-D", "-Dd"] {
            let mut listener = s.listen(LOCALHOST);
            let port = listener.port.to_string();
            let script = "echo ready >&7; read x <&6";
            let client =
                s.start(s.program(["-HRl0", option, "127.0.0.1", &port, "sh", "-c", script]));
            let mut peer = listener.accept();
            peer.receive_line();
            s.note(&format!(
                "TCP_NODELAY: {}",
                crate::support::net::is_nodelay(client.pid(), 6)
            ));
            peer.send("end\n");
            s.finish(client);
        }
    });
    book.add("ignored_sigpipe_is_default_in_the_program", |s| {
        signals(s, |launch| {
            [
                Signal::SIGPIPE,
                Signal::SIGINT,
                Signal::SIGTERM,
                Signal::SIGCHLD,
                Signal::SIGHUP,
            ]
            .into_iter()
            .fold(launch, Launch::ignoring)
        });
    });
    book.add("signals_are_not_touched", |s| signals(s, as_it_is));
    book.add("blocked_signals_stay_blocked", |s| {
        signals(s, |launch| {
            [
                Signal::SIGPIPE,
                Signal::SIGCHLD,
                Signal::SIGTERM,
                Signal::SIGUSR1,
            ]
            .into_iter()
            .fold(launch, Launch::blocking)
        });
    });
    book.add("arguments_are_passed_on_exactly", |s| {
        run_connected(s, &["-HRl0"], &passed_on::WORDS, as_it_is);
    });
    book.add("status_of_the_program_is_the_status", |s| {
        run_connected(s, &["-HRl0"], &["sh", "-c", "exit 7"], as_it_is);
        run_connected(s, &["-HRl0"], &["sh", "-c", "kill -KILL $$"], as_it_is);
    });
    book.add("program_has_the_pid_of_tcpclient", |s| {
        let mut listener = s.listen(LOCALHOST);
        let port = listener.port.to_string();
        let client = s.start(s.program(["-HRl0", "127.0.0.1", &port, "sh", "-c", "echo pid=$$"]));
        listener.accept();
        s.note(&format!("started as pid={}", client.pid()));
        s.finish(client);
    });
    for case in exec::CASES {
        book.add(case.name, |s| {
            exec::prepare(s);
            run_connected(s, &["-HRl0"], &[case.word], |launch| {
                exec::with_path(launch, case)
            });
        });
    }
    book.add("quiet_silences_a_missing_program", |s| {
        run_connected(s, &["-qHRl0"], &["no-such-program"], as_it_is)
    });
}

fn descriptors(s: &mut Scene, with: impl Fn(Launch) -> Launch) {
    let outcome = probe_outcome(s, &probe::DESCRIPTORS, with);
    passed_on::note_descriptors(s, &outcome);
}

fn signals(s: &mut Scene, with: impl Fn(Launch) -> Launch) {
    let outcome = probe_outcome(s, &probe::SIGNALS, with);
    passed_on::note_signals(s, &outcome);
}

fn probe_outcome(s: &mut Scene, program: &[&str], with: impl Fn(Launch) -> Launch) -> Outcome {
    let mut listener = s.listen(LOCALHOST);
    let port = listener.port.to_string();
    let client = s.start(with(
        s.program([&["-HRl0", "127.0.0.1", &port], program].concat()),
    ));
    listener.accept();
    client.outcome()
}

fn zero() -> File {
    File::open("/dev/zero").expect("the system has /dev/zero")
}
