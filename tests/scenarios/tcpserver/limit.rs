//! The concurrency limit, and what counts.

use nix::sys::resource::Resource;
use nix::sys::signal::Signal;

use super::listening;
use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::scene::Scene;

pub(crate) fn fill(book: &mut Book) {
    book.add(
        "limit_reached_leaves_the_next_peer_in_the_listen_queue",
        |s| {
            let mut server = s.serve(listening(s, &["-1vHRl0", "-c1"], &["cat"]));
            let mut first = server.connect();
            first.send("first\n");
            first.receive_line();
            let mut second = server.connect();
            second.send("second\n");
            first.half_close();
            first.receive_all();
            second.receive_line();
            second.half_close();
            second.receive_all();
            server.wait_for_ends(2);
            server.terminate();
        },
    );
    book.add("peers_in_the_listen_queue_are_served_in_their_order", |s| {
        let mut server = s.serve(listening(s, &["-1vHRl0", "-c", "1"], &["cat"]));
        let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
        for (index, client) in clients.iter_mut().enumerate() {
            client.send(format!("client {}\n", index + 1));
            client.receive_line();
            client.half_close();
            client.receive_all();
            server.wait_for("tcpserver: end ", index + 1);
        }
        server.wait_for_ends(4);
        server.terminate();
    });
    book.add("limit_is_40_when_not_given", |s| {
        let mut server = s.serve(listening(s, &["-1vHRl0"], &["cat"]));
        let mut clients = Vec::new();
        for count in 1..=40 {
            let mut client = server.connect();
            client.send("x\n");
            client.receive_line();
            server.wait_for("tcpserver: ok ", count);
            clients.push(client);
        }
        let mut late = server.connect();
        late.send("late\n");
        let first = &mut clients[0];
        first.half_close();
        first.receive_all();
        late.receive_line();
        server.signal(Signal::SIGTERM);
        server.wait();
        drop(clients);
        drop(late);
        server.record_log();
    });
    book.add("connections_at_once_are_counted", |s| {
        let mut server = s.serve(listening(s, &["-1vHRl0", "-c3"], &["cat"]));
        let mut first = server.connect();
        first.send("first\n");
        first.receive_line();
        let mut second = server.connect();
        second.send("second\n");
        second.receive_line();
        second.half_close();
        second.receive_all();
        server.wait_for("tcpserver: status: 1/3", 2);
        first.half_close();
        first.receive_all();
        server.wait_for("tcpserver: status: 0/3", 2);
        server.terminate();
    });
    book.add("program_that_closes_its_connection_still_counts", |s| {
        let gate = s.fifo("go");
        let script = "exec <&- >&-; read x <go";
        let mut server = s.serve(listening(s, &["-1vHRl0", "-c1"], &["sh", "-c", script]));
        server.connect().receive_all();
        let _open = gate.open();
        server.wait_for_ends(1);
        server.terminate();
    });
    book.add(
        "failed_fork_drops_the_connection_and_the_server_goes_on",
        |s| {
            let launch = listening(s, &["-1vHRl0", "-u", "64123", "-g", "64123"], &["true"]);
            let mut server = s.serve(launch.limit(Resource::RLIMIT_NPROC, 0));
            for count in 1..=2 {
                server.connect().receive_all();
                server.wait_for("unable to fork", count);
                server.wait_for("tcpserver: status: 0/40", count + 1);
            }
            server.terminate();
        },
    )
    .needs_root();
    descriptors(book);
}

/// Few descriptors: the original needs 4, with rules and look-ups too.
fn descriptors(book: &mut Book) {
    for limit in 4..=8 {
        let name = format!("soft_limit_of_{limit}_descriptors_is_enough_and_is_the_programs");
        book.add(name, move |s| {
            s.rules("rules.cdb", "127.0.0.1:allow\n:deny\n");
            let options = ["-1vHRl0", "-x", "rules.cdb"];
            let program = ["sh", "-c", "ulimit -Sn"];
            let launch = listening(s, &options, &program);
            let mut server = s.serve(launch.soft_limit(Resource::RLIMIT_NOFILE, limit));
            for count in 1..=2 {
                server.connect().receive_all();
                server.wait_for_ends(count);
            }
            server.terminate();
        });
        book.add(
            format!("limit_of_{limit}_descriptors_is_said_to_be_too_small"),
            move |s| {
                let launch = listening(s, &["-1HRl0"], &["echo", "served"]);
                serve_or_say_why(s, launch.limit(Resource::RLIMIT_NOFILE, limit));
            },
        )
        .differs("descriptor-limits");
    }
    for (name, options, limit) in [
        ("limit_of_10_descriptors_is_enough", &["-1HRl0"][..], 10),
        (
            "limit_of_11_descriptors_is_enough_with_rules",
            &["-1HRl0", "-x", "rules.cdb"],
            11,
        ),
    ] {
        book.add(name, move |s| {
            s.rules("rules.cdb", "127.0.0.1:allow\n:deny\n");
            let launch = listening(s, options, &["echo", "served"]);
            serve_or_say_why(s, launch.limit(Resource::RLIMIT_NOFILE, limit));
        });
        book.add(format!("{name}_and_one_less_is_not"), move |s| {
            s.rules("rules.cdb", "127.0.0.1:allow\n:deny\n");
            let launch = listening(s, options, &["echo", "served"]);
            serve_or_say_why(s, launch.limit(Resource::RLIMIT_NOFILE, limit - 1));
        })
        .differs("descriptor-limits");
    }
}

/// Two visits to a server, or why it does not start.
fn serve_or_say_why(s: &mut Scene, launch: Launch) {
    match s.serve_if_it_can(launch) {
        Err(process) => s.finish(process),
        Ok(mut server) => {
            for _ in 0..2 {
                server.connect().receive_all();
            }
            server.terminate();
        }
    }
}
