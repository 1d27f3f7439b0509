//! time@ against scripted servers on port 37. RFC 868; the columns are those of the time client in perlipc(1).
//!
//! What is shown depends on the second in which it is shown: a run that crosses from one into the next is repeated.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::support::deadline;
use crate::support::launch::Launch;
use crate::support::nameserver::NameServer;
use crate::support::net;
use crate::support::place::text;
use crate::support::process::Outcome;
use crate::support::programs::Programs;
use crate::support::temp::TempDir;
use crate::support::zone::Zone;

const PORT: u16 = 37;
/// From 1900 to 1970, in seconds.
const EPOCH: i64 = 2_208_988_800;
const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

pub(super) const TESTS: &[(&str, fn())] = &[
    ("columns_are_exact", columns_are_exact),
    (
        "this_machine_alone_is_shown_without_hosts",
        this_machine_alone_is_shown_without_hosts,
    ),
    ("long_names_push_the_columns", long_names_push_the_columns),
    (
        "hosts_are_asked_at_once_and_shown_in_order",
        hosts_are_asked_at_once_and_shown_in_order,
    ),
    (
        "nearest_time_that_a_value_stands_for_is_meant",
        nearest_time_that_a_value_stands_for_is_meant,
    ),
    (
        "value_may_come_in_pieces_and_with_more_behind_it",
        value_may_come_in_pieces_and_with_more_behind_it,
    ),
    ("time_is_local", time_is_local),
    (
        "failing_hosts_have_a_line_each_and_the_others_are_shown",
        failing_hosts_have_a_line_each_and_the_others_are_shown,
    ),
    (
        "silent_hosts_end_at_the_timeout",
        silent_hosts_end_at_the_timeout,
    ),
    ("unknown_hosts_have_a_line", unknown_hosts_have_a_line),
    (
        "second_address_is_asked_when_the_first_refuses",
        second_address_is_asked_when_the_first_refuses,
    ),
    (
        "clock_that_differs_by_more_is_told_by_the_status",
        clock_that_differs_by_more_is_told_by_the_status,
    ),
    ("failure_outranks_difference", failure_outranks_difference),
    ("ipv6_hosts_are_asked", ipv6_hosts_are_asked),
];

fn columns_are_exact() {
    answering(host(2), |client| tell(client, 5));
    answering(host(3), |client| tell(client, -3700));
    answering(host(4), |client| tell(client, 0));
    let (run, now) = within_a_second(&["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.2"]);
    let lines = [
        format!("localhost                       0 {}\n", date(now, "UTC0")),
        format!(
            "127.0.0.2                       5 {}\n",
            date(now + 5, "UTC0")
        ),
        format!(
            "127.0.0.3                   -3700 {}\n",
            date(now - 3700, "UTC0")
        ),
        format!("127.0.0.4                       0 {}\n", date(now, "UTC0")),
        format!(
            "127.0.0.2                       5 {}\n",
            date(now + 5, "UTC0")
        ),
    ];
    assert_eq!(text(&run.stdout), lines.concat());
    assert_eq!(
        (text(&run.stderr), run.status.code()),
        (String::new(), Some(0))
    );
}

fn this_machine_alone_is_shown_without_hosts() {
    let (run, now) = within_a_second(&[]);
    let line = format!("localhost                       0 {}\n", date(now, "UTC0"));
    assert_eq!((text(&run.stdout), run.status.code()), (line, Some(0)));
}

fn long_names_push_the_columns() {
    let names = ["x".repeat(23), "x".repeat(24), "x".repeat(25)].map(|label| label + ".test");
    let zone = names
        .iter()
        .fold(Zone::default(), |zone, name| zone.a(name, &[host(2)]));
    let _server = NameServer::of(NAME_SERVER, zone);
    answering(host(2), |client| tell(client, 123_456_789));
    let (run, now) = within_a_second(&[&names[0], &names[1], &names[2]]);
    let there = date(now + 123_456_789, "UTC0");
    let lines: String = names
        .iter()
        .map(|name| format!("{name} 123456789 {there}\n"))
        .collect();
    let first = format!("localhost                       0 {}\n", date(now, "UTC0"));
    assert_eq!(text(&run.stdout), first + &lines);
}

fn hosts_are_asked_at_once_and_shown_in_order() {
    // The first answers only when all are being asked, and the others have answered by then.
    let met = Arc::new(Barrier::new(3));
    for (last, ahead) in [(2, 20), (3, 30), (4, 40)] {
        let met = Arc::clone(&met);
        answering(host(last), move |client| {
            met.wait();
            tell(client, ahead);
        });
    }
    let (run, now) = within_a_second(&["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
    let differences = [0, 20, 30, 40].map(|ahead| (ahead, date(now + ahead, "UTC0")));
    assert_eq!(shown(&run), differences);
}

fn nearest_time_that_a_value_stands_for_is_meant() {
    // 2^31 seconds ahead and as many behind are the same value.
    const HALF: i64 = 1 << 31;
    answering(host(2), |client| tell(client, HALF - 2));
    answering(host(3), |client| tell(client, HALF));
    answering(host(4), |client| tell(client, -HALF));
    let (run, now) = within_a_second(&["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
    let differences = [0, HALF - 2, -HALF, -HALF];
    assert_eq!(
        shown(&run),
        differences.map(|ahead| (ahead, date(now + ahead, "UTC0")))
    );
}

fn value_may_come_in_pieces_and_with_more_behind_it() {
    answering(host(2), |client| {
        for byte in value(7) {
            let _ = client
                .set_nodelay(true)
                .and_then(|()| client.write_all(&[byte]));
        }
    });
    answering(host(3), |client| {
        net::send(client, &[&value(8)[..], b"and more\r\n"].concat());
    });
    let (run, now) = within_a_second(&["127.0.0.2", "127.0.0.3"]);
    let differences = [0, 7, 8].map(|ahead| (ahead, date(now + ahead, "UTC0")));
    assert_eq!(shown(&run), differences);
}

fn time_is_local() {
    answering(host(2), |client| tell(client, 1));
    let (run, now) = repeated(|| time_at(&["127.0.0.2"], |launch| launch.env("TZ", "XYZ-5:30")));
    let differences = [0, 1].map(|ahead| (ahead, date(now + ahead, "XYZ-5:30")));
    assert_eq!(shown(&run), differences);
}

fn failing_hosts_have_a_line_each_and_the_others_are_shown() {
    answering(host(2), |client| tell(client, 20));
    answering(host(4), |_| {});
    answering(host(5), |client| net::send(client, &value(0)[..3]));
    answering(host(6), |client| net::reset_on_close(client));
    answering(host(7), |client| tell(client, 70));
    let hosts = [
        "127.0.0.2",
        "127.0.0.3",
        "127.0.0.4",
        "127.0.0.5",
        "127.0.0.6",
        "127.0.0.7",
    ];
    let (run, now) = within_a_second(&hosts);
    let differences = [0, 20, 70].map(|ahead| (ahead, date(now + ahead, "UTC0")));
    assert_eq!(shown(&run), differences);
    let complaints = text(&run.stderr);
    let (reset, lines): (Vec<&str>, Vec<&str>) = complaints
        .lines()
        .partition(|line| line.ends_with("connection reset"));
    assert_eq!(
        lines,
        [
            "time@: warning: no time from 127.0.0.3: unable to connect to 127.0.0.3 port 37: connection refused",
            "time@: warning: no time from 127.0.0.4: the connection ends before four bytes",
            "time@: warning: no time from 127.0.0.5: the connection ends before four bytes",
        ]
    );
    // While it connects, or when it reads.
    assert_eq!(reset.len(), 1, "{complaints}");
    assert!(reset[0].starts_with("time@: warning: no time from 127.0.0.6: unable to "));
    assert_eq!(run.status.code(), Some(111));
}

fn silent_hosts_end_at_the_timeout() {
    // Says nothing until the other end gives up.
    let silent = |client: &mut TcpStream| drop(client.read(&mut [0]));
    answering(host(2), silent);
    answering(host(3), |client| tell(client, 3000));
    answering(host(4), move |client| {
        net::send(client, &value(0)[..2]);
        silent(client);
    });
    let run = time_at(&["-t1", "127.0.0.2", "127.0.0.3", "127.0.0.4"], |launch| {
        launch
    });
    let differences: Vec<i64> = shown(&run).iter().map(|(ahead, _)| *ahead).collect();
    assert_eq!(differences[0], 0);
    // Its second may have been over when the answer was read.
    assert!([2999, 3000].contains(&differences[1]), "{differences:?}");
    assert_eq!(differences.len(), 2);
    assert_eq!(
        text(&run.stderr),
        "time@: warning: no time from 127.0.0.2: timed out\n\
         time@: warning: no time from 127.0.0.4: timed out\n"
    );
    assert_eq!(run.status.code(), Some(111));
}

fn unknown_hosts_have_a_line() {
    let _server = NameServer::of(NAME_SERVER, Zone::default().empty("empty.test"));
    let (run, now) = within_a_second(&["nobody.test", "empty.test", "1.2.3"]);
    assert_eq!(shown(&run), [(0, date(now, "UTC0"))]);
    let complaints = text(&run.stderr);
    let lines: Vec<&str> = complaints.lines().collect();
    assert_eq!(
        lines,
        [
            "time@: warning: no time from nobody.test: no IP address for nobody.test",
            "time@: warning: no time from empty.test: no IP address for empty.test",
            "time@: warning: no time from 1.2.3: no IP address for 1.2.3",
        ]
    );
    assert_eq!(run.status.code(), Some(111));
}

fn second_address_is_asked_when_the_first_refuses() {
    let zone = Zone::default().a("two.test", &[host(2), host(3)]);
    let _server = NameServer::of(NAME_SERVER, zone);
    answering(host(3), |client| tell(client, 30));
    let (run, now) = within_a_second(&["two.test"]);
    let differences = [0, 30].map(|ahead| (ahead, date(now + ahead, "UTC0")));
    assert_eq!(
        (shown(&run), run.status.code()),
        (differences.to_vec(), Some(0))
    );
}

fn clock_that_differs_by_more_is_told_by_the_status() {
    answering(host(2), |client| tell(client, 5));
    answering(host(3), |client| tell(client, -5));
    answering(host(4), |client| tell(client, 0));
    for (args, status) in [
        (&["-m5", "127.0.0.2", "127.0.0.3", "127.0.0.4"][..], 0),
        (&["-m", "4", "127.0.0.2"], 1),
        (&["-m4", "127.0.0.3"], 1),
        (&["-m4", "127.0.0.4", "127.0.0.3", "127.0.0.4"], 1),
        (&["-m0", "127.0.0.4"], 0),
        (&["-m0", "127.0.0.2"], 1),
        (&["-m0"], 0),
    ] {
        let (run, _) = within_a_second(args);
        assert_eq!(
            (run.status.code(), text(&run.stderr)),
            (Some(status), String::new()),
            "{args:?}"
        );
        let hosts = args.iter().filter(|arg| arg.starts_with("127.")).count();
        assert_eq!(shown(&run).len(), 1 + hosts, "{args:?}");
    }
}

fn failure_outranks_difference() {
    answering(host(2), |client| tell(client, 5));
    for args in [
        ["-m4", "127.0.0.2", "127.0.0.3"],
        ["-m4", "127.0.0.3", "127.0.0.2"],
    ] {
        let (run, _) = within_a_second(&args);
        assert_eq!(
            (run.status.code(), shown(&run).len()),
            (Some(111), 2),
            "{args:?}"
        );
    }
}

fn ipv6_hosts_are_asked() {
    let Ok(listener) = TcpListener::bind(("::1", PORT)) else {
        // A kernel without IPv6.
        return;
    };
    serve(listener, |client| tell(client, 60));
    let (run, now) = within_a_second(&["::1"]);
    let differences = [0, 60].map(|ahead| (ahead, date(now + ahead, "UTC0")));
    assert_eq!(shown(&run), differences);
}

fn host(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

/// A server that does so with every client, and closes.
fn answering(ip: Ipv4Addr, answer: impl Fn(&mut TcpStream) + Send + 'static) {
    let listener = TcpListener::bind((ip, PORT)).expect("the port is free in a network of our own");
    serve(listener, answer);
}

/// Serves until the test binary ends: the network of the test goes with it.
fn serve(listener: TcpListener, answer: impl Fn(&mut TcpStream) + Send + 'static) {
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let _ = client.set_read_timeout(Some(deadline()));
            answer(&mut client);
        }
    });
}

/// The answer of a clock that is so many seconds ahead.
fn value(ahead: i64) -> [u8; 4] {
    let counter = (now() + ahead + EPOCH).rem_euclid(1 << 32);
    u32::try_from(counter)
        .expect("it is below 2^32")
        .to_be_bytes()
}

fn tell(client: &mut TcpStream, ahead: i64) {
    net::send(client, &value(ahead));
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.expect("it is past 1970").as_secs();
    i64::try_from(seconds).expect("the year is a small number")
}

/// Runs `time@ args` until a run begins and ends in the same second, which is given too.
fn within_a_second(args: &[&str]) -> (Outcome, i64) {
    repeated(|| time_at(args, |launch| launch.env("TZ", "UTC0")))
}

fn repeated(run: impl Fn() -> Outcome) -> (Outcome, i64) {
    let limit = Instant::now() + deadline();
    loop {
        let start = now();
        let outcome = run();
        if now() == start {
            return (outcome, start);
        }
        assert!(Instant::now() < limit, "every run takes more than a second");
    }
}

fn time_at(args: &[&str], with: impl Fn(Launch) -> Launch) -> Outcome {
    let launch = Launch::new(Programs::subject().path("time@"), "time@", args);
    let launch = with(launch.env("DNSCACHEIP", NAME_SERVER.to_string()));
    finished(launch)
}

fn finished(launch: Launch) -> Outcome {
    let work = TempDir::new();
    let process = launch.spawn(work.path());
    process.expect("the program can be started").outcome()
}

/// `Tue Nov 14 22:13:20 2023`, as date(1) says it.
fn date(time: i64, zone: &str) -> String {
    let args = [&format!("--date=@{time}"), "+%a %b %e %H:%M:%S %Y"];
    let launch = Launch::new("/usr/bin/date".into(), "date", args);
    let outcome = finished(launch.env("TZ", zone).env("LC_ALL", "C"));
    text(&outcome.stdout).trim_end().to_owned()
}

/// The difference and the date in each line.
fn shown(run: &Outcome) -> Vec<(i64, String)> {
    let read = |line: &str| {
        let mut words = line.splitn(2, ' ');
        words.next();
        let rest = words.next().unwrap_or_default().trim_start();
        let (difference, date) = rest.split_once(' ').expect("a number and a date");
        let difference = difference.parse();
        (
            difference.expect("the second column is a number"),
            date.to_owned(),
        )
    };
    text(&run.stdout).lines().map(read).collect()
}
