//! iotcpd's command line, statistics and signals.

use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};
use std::os::fd::OwnedFd;

use nix::sys::signal::Signal;

use crate::pool::house::{Gate, statistics_of, world};
use crate::support::net;
use crate::support::process::Process;
use crate::world::{World, eventually, lossy};

/// An iotcpd that listens at a port that was held for it.
pub(crate) struct Iotcpd {
    process: Process,
    port: u16,
    _holder: OwnedFd,
}

impl Iotcpd {
    pub(crate) fn start(world: &World, args: &[&str]) -> Self {
        let (holder, port) = net::reserve_port(Ipv4Addr::LOCALHOST);
        let port_text = port.to_string();
        let args = args.iter().copied().chain(["-p", &port_text]);
        let process = world.start(world.program("iotcpd", args));
        let server = Self {
            process,
            port,
            _holder: holder,
        };
        eventually("it listens", || server.connect().is_ok());
        server
    }

    fn connect(&self) -> nix::Result<TcpStream> {
        net::connect_from(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, self.port, |_| {
            false
        })
    }

    pub(crate) fn ask(&self, query: &str) -> String {
        let mut client = self.connect().expect("it listens");
        net::send(&mut client, query.as_bytes());
        lossy(&net::receive_all(&mut client))
    }

    /// Ends it by SIGINT.
    pub(crate) fn interrupt(self) {
        self.process.signal(Signal::SIGINT);
        let outcome = self.process.outcome();
        assert_eq!(outcome.status.code(), Some(0));
        assert_eq!(lossy(&outcome.stderr), "");
    }

    /// What it prints on descriptor 1 after `signal`, up to the second line with a cut mark.
    fn report(&self, signal: Signal, end: &str, count: usize) -> String {
        let stdout = self.process.stdout.as_ref().expect("stdout is a pipe");
        self.process.signal(signal);
        stdout.wait_for(end, count);
        lossy(&stdout.so_far())
    }
}

const STATISTICS_END: &str = " --- statistics ---- 8< -------";

#[test]
fn queries_of_its_test_script_are_answered_at_once() {
    let Some(world) = world() else { return };
    // A redirector that leaves all alone but one.
    world.script(
        "redirector",
        "#!/bin/sh\nwhile read -r url rest; do case $url in *wowomg*) echo 302:http://foo.bar ;; *) echo ;; esac; done\n",
    );
    let server = Iotcpd::start(&world, &["--num-daemons", "8", "--daemon", "./redirector"]);
    let query = |url: &str| format!("{url} 127.0.1.1/10.129.23.1 - GET myip=- myport=3127\n");
    assert_eq!(
        server.ask(&query("http://www.wowomg.com/foo.html")),
        "302:http://foo.bar\n"
    );
    assert_eq!(server.ask(&query("http://clean_url/baz/1-0")), "\n");
    assert_eq!(server.ask(&query("http://bar.baaz.foo/test.html")), "\n");
    let report = server.report(Signal::SIGUSR1, STATISTICS_END, 1);
    let statistics = statistics_of(&report);
    assert_eq!(statistics["queries replied"], 3.0);
    assert_eq!(statistics["daemon S_AVAILABLE"], 8.0);
    assert!(report.contains("\nversion  "), "{report}");
    server.interrupt();
}

#[test]
fn its_state_lines_come_at_usr2() {
    let Some(world) = world() else { return };
    let server = Iotcpd::start(&world, &["-n", "2", "-d", "perl worker.pl"]);
    let mut busy = server.connect().expect("it listens");
    net::send(&mut busy, b"hang\n");
    eventually("one is busy", || {
        let report = server.report(Signal::SIGUSR2, " --- internal regs - 8< -------", 2);
        report.contains("d[0].status = 2\n")
    });
    let report = server.report(Signal::SIGUSR2, " --- internal regs - 8< -------", 4);
    let names: Vec<&str> = report
        .lines()
        .filter_map(|line| line.strip_prefix("d[1]."))
        .filter_map(|line| line.split(" = ").next())
        .take(8)
        .collect();
    let expected = [
        "status",
        "producer_pipe_fd[PIPE_END_WRITE]",
        "consumer_pipe_fd[PIPE_END_READ]",
        "daemon_pid",
        "client_pid",
        "client_fd",
        "start.tv_sec",
        "start.tv_nsec",
    ];
    assert_eq!(names, expected);
    assert!(report.contains("d[1].status = 1\n"), "{report}");
    server.interrupt();
}

#[test]
fn hup_replaces_its_daemons_and_loses_no_query() {
    let Some(world) = world() else { return };
    let server = Iotcpd::start(&world, &["-n", "2", "-d", "perl worker.pl"]);
    let mut asked = server.connect().expect("it listens");
    let gate = Gate::new(&world, "gate");
    net::send(&mut asked, b"gate gate a\n");
    server.process.signal(Signal::SIGHUP);
    // Its successor is there before it has answered.
    assert_eq!(server.ask("environment none\n"), "unset\n");
    let mut reports = 0;
    eventually("another daemon is there", || {
        reports += 1;
        let report = server.report(Signal::SIGUSR1, STATISTICS_END, reports);
        statistics_of(&report)["daemon spawns"] > 2.0
    });
    let _open = gate.open();
    assert_eq!(lossy(&net::receive_all(&mut asked)), "a\n");
    assert_eq!(server.ask("b\n"), "answer b\n");
    server.process.signal(Signal::SIGTERM);
    assert_eq!(server.process.outcome().status.code(), Some(0));
}

#[test]
fn query_waits_half_a_second_behind_any_number_of_others() {
    let Some(world) = world() else { return };
    let server = Iotcpd::start(&world, &["-n", "1", "-d", "perl worker.pl"]);
    let mut hanging = server.connect().expect("it listens");
    net::send(&mut hanging, b"hang\n");
    let mut others: Vec<_> = (0..50)
        .map(|_| {
            let mut client = server.connect().expect("it listens");
            net::send(&mut client, b"a\n");
            client
        })
        .collect();
    for client in &mut others {
        assert_eq!(lossy(&net::receive_all(client)), "ERR\n");
    }
    server.interrupt();
}

#[test]
fn daemon_that_takes_too_long_is_ended_and_its_client_is_told() {
    let Some(world) = world() else { return };
    let server = Iotcpd::start(&world, &["-n", "1", "-b", "1", "-d", "perl worker.pl"]);
    assert_eq!(server.ask("hang\n"), "ERR\n");
    let report = server.report(Signal::SIGUSR1, STATISTICS_END, 1);
    assert_eq!(statistics_of(&report)["queries timeout"], 1.0);
    server.interrupt();
}

#[test]
fn ipv6_address_is_enough_and_an_ipv4_address_comes_before_it() {
    let Some(world) = world() else { return };
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return crate::world::skip("there is no IPv6");
    }
    for (args, is_ipv6) in [
        (&["-I", "::1"][..], true),
        (&["-i", "", "-I", "::1"], true),
        (&["-i", "127.0.0.1", "--ipv6=::1"], false),
    ] {
        let (_holder, port) = net::reserve_port(Ipv4Addr::LOCALHOST);
        let port_text = port.to_string();
        let more = ["-n", "1", "-d", "cat", "-p", &port_text];
        let process = world.start(world.program("iotcpd", args.iter().chain(&more)));
        let at = |ipv6| match ipv6 {
            true => TcpStream::connect((Ipv6Addr::LOCALHOST, port)),
            false => TcpStream::connect((Ipv4Addr::LOCALHOST, port)),
        };
        eventually("it listens", || at(is_ipv6).is_ok());
        assert!(at(!is_ipv6).is_err(), "{args:?}");
        process.signal(Signal::SIGINT);
        assert_eq!(process.outcome().status.code(), Some(0));
    }
}

#[test]
fn words_among_its_options_mean_nothing() {
    let Some(world) = world() else { return };
    let server = Iotcpd::start(&world, &["start", "-n", "1", "now", "--daemon", "cat"]);
    assert_eq!(server.ask("a\n"), "a\n");
    server.interrupt();
}

#[test]
fn more_than_64_daemons_may_run() {
    let Some(world) = world() else { return };
    let server = Iotcpd::start(&world, &["-n", "70", "-d", "cat"]);
    assert_eq!(server.ask("a\n"), "a\n");
    let report = server.report(Signal::SIGUSR1, STATISTICS_END, 1);
    assert_eq!(statistics_of(&report)["daemon spawns"], 70.0);
    server.interrupt();
}

#[test]
fn what_it_cannot_do_it_says_with_an_exit_code() {
    let Some(world) = world() else { return };
    let (_holder, port) = net::reserve_port(Ipv4Addr::LOCALHOST);
    let _listener = net::listener_at(Ipv4Addr::LOCALHOST, port);
    let port = port.to_string();
    for (args, code, text) in [
        (
            &["-p", &port, "-d", "cat"][..],
            111,
            "iotcpd: fatal: unable to bind: address already used",
        ),
        (
            &["-p", "0"],
            100,
            "iotcpd: option -p needs a number from 1 to 65535, not \"0\"",
        ),
        (
            &["-n", "0"],
            100,
            "iotcpd: option -n needs a number from 1 to 10000, not \"0\"",
        ),
        (
            &["--ipv4", "here"],
            100,
            "iotcpd: option --ipv4 needs an IPv4 address, or nothing, not \"here\"",
        ),
        (
            &["-I", "::g"],
            100,
            "iotcpd: option -I needs an IPv6 address, or nothing, not \"::g\"",
        ),
        (&["-z"], 100, "iotcpd: illegal option -- z"),
    ] {
        let outcome = world.run("iotcpd", args);
        let log = lossy(&outcome.stderr);
        assert_eq!(outcome.status.code(), Some(code), "{log}");
        assert!(log.starts_with(text), "{log}");
    }
}

#[test]
fn help_and_version_come_on_descriptor_1() {
    let Some(world) = world() else { return };
    for args in [&[][..], &["-h"], &["--help"]] {
        let outcome = world.run("iotcpd", args);
        assert_eq!(outcome.status.code(), Some(0));
        assert!(lossy(&outcome.stdout).starts_with("iotcpd: "));
    }
    for args in [&["-v"][..], &["--version"]] {
        let outcome = world.run("iotcpd", args);
        assert_eq!(outcome.status.code(), Some(0));
        assert!(lossy(&outcome.stdout).starts_with("iotcpd (ucspi-tcp) "));
    }
}
