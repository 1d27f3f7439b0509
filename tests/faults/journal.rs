//! What a server says in JSON, and that nobody who connects can break it.

use std::net::{Ipv4Addr, TcpStream};

use nix::sys::signal::Signal;

use crate::network;
use crate::service::{FOE, FRIEND};
use crate::support::net;
use crate::support::process::Outcome;
use crate::world::{self, Server, World, eventually, lossy};

fn connect(server: &Server, source: Ipv4Addr) -> TcpStream {
    net::connect_from(source, Ipv4Addr::LOCALHOST, server.port, |_| false)
        .expect("the server listens")
}

fn visit(server: &Server, source: Ipv4Addr) -> Vec<u8> {
    let mut stream = connect(server, source);
    net::half_close(&stream);
    net::receive_all(&mut stream)
}

/// What jq makes of a log.
fn jq(world: &World, filter: &str, log: &str) -> Vec<String> {
    let launch = world.program("jq", ["-c", filter]).input(log.as_bytes());
    let Outcome {
        stdout,
        stderr,
        status,
    } = world.start(launch).outcome();
    assert!(status.success(), "{}\n{log}", lossy(&stderr));
    lossy(&stdout).lines().map(str::to_owned).collect()
}

/// Ends the server when `ends` connections have ended or were refused; gives its log.
fn log_after(server: Server, events: &[(&str, usize)]) -> String {
    for (event, count) in events {
        server
            .log()
            .wait_for(&format!("\"event\":\"{event}\""), *count);
    }
    server.log().wait_for("\"event\":\"status\",\"open\":0", 2);
    server.terminate()
}

#[test]
fn every_event_is_an_object_with_the_fields_of_the_manual() {
    let Some(world) = world::with(&["sh", "cat", "jq"]) else {
        return;
    };
    let rules = world.rules("127.0.0.2:deny\n127.0.0.:allow,A=\"b\"\n");
    let words = [
        "-v",
        "--log=json",
        "-RHl0",
        "-x",
        &rules,
        "--source-limit=1",
        "127.0.0.1",
        "0",
        "sh",
        "-c",
        "echo ready; cat; exit 3",
    ];
    let server = world.serve(words);
    let mut held = connect(&server, FRIEND);
    net::receive_line(&mut held);
    assert_eq!(visit(&server, FRIEND), b"");
    assert_eq!(visit(&server, FOE), b"");
    net::half_close(&held);
    net::receive_all(&mut held);
    let port = server.port;
    let log = log_after(server, &[("end", 1), ("deny", 2)]);
    let keys = jq(
        &world,
        "[.event, (keys_unsorted | join(\" \"))] | join(\": \")",
        &log,
    );
    let connection = "time event number pid local remote host info rule verdict";
    for (event, fields) in [
        ("status", "time event open limit".to_owned()),
        ("listen", "time event local".to_owned()),
        ("ok", format!("{connection} ms")),
        ("deny", format!("{connection} reason ms")),
        (
            "end",
            format!("{connection} status signal ms cpu_ms max_rss_kb"),
        ),
    ] {
        let line = format!("\"{event}: {fields}\"");
        assert!(keys.contains(&line), "{line} in {keys:?}");
    }
    let known = jq(
        &world,
        "select(.event == (\"ok\", \"deny\", \"end\")) | del(.time, .number, .pid, .remote, .ms, .cpu_ms, .max_rss_kb)",
        &log,
    );
    let local = format!("\"local\":\"127.0.0.1:{port}\",\"host\":null,\"info\":null");
    assert_eq!(
        known,
        [
            format!("{{\"event\":\"ok\",{local},\"rule\":\"127.0.0.\",\"verdict\":\"allow\"}}"),
            format!(
                "{{\"event\":\"deny\",{local},\"rule\":null,\"verdict\":\"deny\",\"reason\":\"limit\"}}"
            ),
            format!(
                "{{\"event\":\"deny\",{local},\"rule\":\"127.0.0.2\",\"verdict\":\"deny\",\"reason\":\"rule\"}}"
            ),
            format!(
                "{{\"event\":\"end\",{local},\"rule\":\"127.0.0.\",\"verdict\":\"allow\",\"status\":3,\"signal\":null}}"
            ),
        ],
        "{log}"
    );
    let sound = "select(.event == \"ok\") | (.number == .pid) and (.pid < 4194305) and (.ms >= 0) and \
                 (.time | test(\"^\\\\d{4}-\\\\d\\\\d-\\\\d\\\\dT\\\\d\\\\d:\\\\d\\\\d:\\\\d\\\\d[.]\\\\d{6}Z$\")) and (.remote | test(\"^127.0.0.1:\\\\d+$\"))";
    assert_eq!(jq(&world, sound, &log), ["true"]);
    let of_end =
        "select(.event == \"end\") | (.max_rss_kb > 100) and (.cpu_ms >= 0) and (.number == .pid)";
    assert_eq!(jq(&world, of_end, &log), ["true"]);
    let of_deny = "select(.event == \"deny\") | (.number > 4194304) and (.pid == null)";
    assert_eq!(jq(&world, of_deny, &log), ["true", "true"]);
}

#[test]
fn program_that_cannot_be_run_and_one_that_is_killed_are_events() {
    let Some(world) = world::with(&["sh", "jq"]) else {
        return;
    };
    let server = world.serve([
        "-v",
        "--log=json",
        "-RHl0",
        "127.0.0.1",
        "0",
        "/does/not/\"exist",
    ]);
    assert_eq!(visit(&server, FRIEND), b"");
    let log = log_after(server, &[("end", 1), ("drop", 1)]);
    let drop = "select(.event == \"drop\") | [.reason, .text, .number == .pid]";
    assert_eq!(
        jq(&world, drop, &log),
        ["[\"error\",\"unable to run /does/not/\\\"exist: file does not exist\",true]"]
    );
    let server = world.serve([
        "-v",
        "--log=json",
        "-RHl0",
        "127.0.0.1",
        "0",
        "sh",
        "-c",
        "kill -9 $$",
    ]);
    assert_eq!(visit(&server, FRIEND), b"");
    let log = log_after(server, &[("end", 1)]);
    let end = "select(.event == \"end\") | [.status, .signal]";
    assert_eq!(jq(&world, end, &log), ["[null,9]"]);
}

#[test]
fn what_goes_wrong_is_an_event_without_v_too() {
    let Some(world) = world::with(&["true", "jq"]) else {
        return;
    };
    let missing = world.name("missing.cdb");
    let server = world.serve([
        "--log=json",
        "-RHl0",
        "-x",
        &missing,
        "127.0.0.1",
        "0",
        "true",
    ]);
    assert_eq!(visit(&server, FRIEND), b"");
    let taken = server.port.to_string();
    server.log().wait_for("\"event\":\"drop\"", 1);
    let second = world.run(
        "tcpserver",
        ["--log=json", "-RHl0", "127.0.0.1", &taken, "true"],
    );
    assert_eq!(second.status.code(), Some(111));
    let log = server.terminate() + &lossy(&second.stderr);
    let texts = jq(&world, "[.event, .text, .number, .pid]", &log);
    let unable =
        format!("[\"drop\",\"unable to read {missing}: file does not exist\",4194305,null]");
    assert_eq!(
        texts,
        [
            &unable,
            "[\"fatal\",\"unable to bind: address already used\",null,null]"
        ]
    );
    let server = world.serve([
        "--log=json",
        "-RHl0",
        "--source-limit=1",
        "127.0.0.1",
        "0",
        "cat",
    ]);
    let held = connect(&server, FRIEND);
    for _ in 0..3 {
        assert_eq!(visit(&server, FRIEND), b"");
    }
    drop(held);
    let log = server.terminate();
    let sums = jq(&world, "select(.event == \"refused\") | .limit", &log);
    let sum: u32 = sums
        .iter()
        .map(|sum| sum.parse::<u32>().expect("a number"))
        .sum();
    assert_eq!(sum, 3, "{log}");
}

#[test]
fn lines_stay_whole_whatever_a_peer_is_called() {
    let Some(world) = world::with(&["cat", "jq"]) else {
        return;
    };
    if !network::enter() {
        return;
    }
    let ident = net::listener_at(Ipv4Addr::LOCALHOST, 113);
    let asked = std::thread::spawn(move || {
        let mut stream = net::accept(&ident);
        let ports = lossy(&net::receive_line(&mut stream));
        let reply = [
            ports.trim_end().as_bytes(),
            b" : USERID : UNIX : \"},\\{\"a\":\x01\x1b[2J\x7f\xff\xc3\r\n",
        ]
        .concat();
        net::send(&mut stream, &reply);
    });
    let server = world.serve(["-v", "--log=json", "-Hl0", "127.0.0.1", "0", "cat"]);
    assert_eq!(visit(&server, FRIEND), b"");
    asked.join().expect("it was asked");
    let log = log_after(server, &[("end", 1)]);
    let info = jq(
        &world,
        "select(.event == (\"ok\", \"end\")) | .info | explode",
        &log,
    );
    let explode = "[34,125,44,92,123,34,97,34,58,1,27,91,50,74,127,65533,65533]";
    assert_eq!(info, [explode, explode], "{log}");
}

#[test]
fn hostile_crowd_leaves_a_log_that_jq_reads() {
    let Some(world) = world::with(&["sh", "cat", "jq"]) else {
        return;
    };
    let rules = world.rules("127.0.0.2:deny\n:allow\n");
    let words = [
        "-v",
        "--log=json",
        "-c20",
        "-RHl0",
        "-x",
        &rules,
        "--source-limit=5",
        "--refusal=no\n",
        "127.0.0.1",
        "0",
        "sh",
        "-c",
        "exec cat 2>&-",
    ];
    let server = world.serve(words);
    let count = crate::crowd::number("UCSPI_HOSTILE").unwrap_or(300);
    for turn in 0..count {
        let source = Ipv4Addr::new(127, 0, 0, u8::try_from(turn % 5 + 1).expect("small"));
        let mut stream = connect(&server, source);
        match turn % 3 {
            0 => crate::crowd::reset(stream),
            1 => net::send(&mut stream, b"{\"event\":\"ok\"}\n\0\xff"),
            _ => {
                net::half_close(&stream);
                net::receive_all(&mut stream);
            }
        }
    }
    eventually("all are gone", || {
        let log = lossy(&server.log().so_far());
        log.lines()
            .last()
            .is_some_and(|line| line.contains("\"open\":0,"))
    });
    server.process.signal(Signal::SIGTERM);
    let log = lossy(&server.process.outcome().stderr);
    let events = jq(&world, ".event", &log);
    assert_eq!(events.len(), log.lines().count());
    let decided = events
        .iter()
        .filter(|event| ["\"ok\"", "\"deny\"", "\"drop\""].contains(&event.as_str()));
    // Who is reset before it is accepted never was there.
    assert!(decided.count() >= count / 2, "{log}");
}
