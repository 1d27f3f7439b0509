//! Signals to the server, and those the program starts with.

use nix::sys::signal::Signal;

use super::{as_it_is, listening};
use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::pidfd;
use crate::support::probe;
use crate::support::scene::Scene;

pub(crate) fn fill(book: &mut Book) {
    book.add("sigterm_ends_the_server_with_status_0", |s| {
        let server = s.serve(listening(s, &["-1vHRl0"], &["true"]));
        server.wait_for("tcpserver: status: ", 1);
        server.terminate();
    });
    book.add("running_program_goes_on_after_sigterm", |s| {
        let mut server = s.serve(listening(s, &["-1vHRl0"], &["cat"]));
        let mut client = server.connect();
        client.send("before\n");
        client.receive_line();
        server.signal(Signal::SIGTERM);
        server.wait();
        client.send("after\n");
        client.half_close();
        client.receive_all();
        server.record_log();
    });
    book.add("sigterm_ends_the_server_at_its_limit", |s| {
        let mut server = s.serve(listening(s, &["-1vHRl0", "-c1"], &["cat"]));
        let mut client = server.connect();
        client.send("before\n");
        client.receive_line();
        server.signal(Signal::SIGTERM);
        server.wait();
        client.half_close();
        client.receive_all();
        server.record_log();
    });
    for signal in [
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGALRM,
        Signal::SIGQUIT,
    ] {
        let name = signal.as_str().to_ascii_lowercase();
        book.add(format!("{name}_kills_the_server"), move |s| {
            let launch = listening(s, &["-1vHRl0"], &["true"]);
            let server = s.serve(launch.limit(nix::sys::resource::Resource::RLIMIT_CORE, 0));
            server.wait_for("tcpserver: status: ", 1);
            server.signal(signal);
            server.finish();
        });
    }
    for signal in [Signal::SIGPIPE, Signal::SIGCHLD, Signal::SIGWINCH] {
        let name = signal.as_str().to_ascii_lowercase();
        book.add(format!("{name}_does_not_end_the_server"), move |s| {
            let mut server = s.serve(listening(s, &["-1vHRl0"], &["echo", "served"]));
            server.wait_for("tcpserver: status: ", 1);
            server.signal(signal);
            server.connect().receive_all();
            server.wait_for_ends(1);
            server.terminate();
        });
    }
    book.add("ignored_sighup_stays_ignored_in_the_server", |s| {
        let mut server =
            s.serve(listening(s, &["-1vHRl0"], &["echo", "served"]).ignoring(Signal::SIGHUP));
        server.wait_for("tcpserver: status: ", 1);
        server.signal(Signal::SIGHUP);
        server.connect().receive_all();
        server.wait_for_ends(1);
        server.terminate();
    });
    book.add("program_starts_with_default_dispositions", |s| {
        program_signals(s, as_it_is)
    });
    book.add(
        "ignored_sigpipe_sigterm_and_sigchld_are_default_in_the_program",
        |s| {
            program_signals(s, |launch| {
                [Signal::SIGPIPE, Signal::SIGTERM, Signal::SIGCHLD]
                    .into_iter()
                    .fold(launch, Launch::ignoring)
            });
        },
    );
    book.add("other_ignored_signals_stay_ignored_in_the_program", |s| {
        program_signals(s, |launch| {
            [
                Signal::SIGINT,
                Signal::SIGHUP,
                Signal::SIGQUIT,
                Signal::SIGUSR1,
                Signal::SIGALRM,
                Signal::SIGWINCH,
            ]
            .into_iter()
            .fold(launch, Launch::ignoring)
        });
    });
    book.add(
        "blocked_signals_but_sigchld_stay_blocked_in_the_program",
        |s| {
            program_signals(s, |launch| {
                [
                    Signal::SIGCHLD,
                    Signal::SIGPIPE,
                    Signal::SIGINT,
                    Signal::SIGUSR1,
                ]
                .into_iter()
                .fold(launch, Launch::blocking)
            });
        },
    );
    book.add("blocked_sigterm_stays_blocked_in_server_and_program", |s| {
        let launch = listening(s, &["-1HRl0"], &probe::SIGNALS).blocking(Signal::SIGTERM);
        let mut server = s.serve(launch);
        server.signal(Signal::SIGTERM);
        server.connect().receive_signals();
        server.signal(Signal::SIGKILL);
        server.finish();
    });
    book.add(
        "child_that_the_server_did_not_make_is_none_of_its_business",
        |s| {
            let server = s.sibling("tcpserver", [""; 0]).path().display().to_string();
            s.name_word(&server, "tcpserver");
            let gate = s.fifo("go");
            // The shell starts a child and then becomes the server, which inherits the child.
            let script =
                "(read x <go) & echo $! >&2; exec \"$0\" -1vHRl0 127.0.0.1 0 sh -c 'echo $$'";
            let mut server = s.serve(Launch::new("/bin/sh".into(), "sh", ["-c", script, &server]));
            let stranger = server
                .first_log_line()
                .parse()
                .expect("the shell prints its child's pid");
            let _open = gate.open();
            pidfd::wait_for_end_of(stranger);
            let pid = String::from_utf8_lossy(&server.connect().take_line())
                .trim()
                .to_owned();
            server.wait_for(&format!("tcpserver: end {pid} status 0"), 1);
            s.note(&format!(
                "ends in the log: {}",
                server.count_in_log("tcpserver: end ")
            ));
        },
    )
    .differs("foreign-children");
    book.add(
        "ends_are_logged_when_sigchld_was_blocked_and_ignored",
        |s| {
            let launch = listening(s, &["-1vHRl0"], &["true"])
                .blocking(Signal::SIGCHLD)
                .ignoring(Signal::SIGCHLD);
            let mut server = s.serve(launch);
            server.connect().receive_all();
            server.wait_for_ends(1);
            server.terminate();
        },
    );
}

fn program_signals(s: &mut Scene, with: impl Fn(Launch) -> Launch) {
    let mut server = s.serve(with(listening(s, &["-1HRl0"], &probe::SIGNALS)));
    server.connect().receive_signals();
    server.terminate();
}
