//! The library's resolver, asked directly: what is sent how often, what is remembered, what is read.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::task::LocalSet;
use ucspi_tcp::dns::{Families, Resolver};

use super::nameserver::{Act, NameServer};
use super::packet::{self, A, AAAA, CH, CNAME, NXDOMAIN, PTR, Question, Reply, SERVFAIL, SOA, TXT};
use super::zone::Zone;
use super::{HERE, NAME_SERVER, SECOND_NAME_SERVER, THERE, world};
use crate::support::deadline;

tests! {
    loopback_address_is_asked_for,
    ipv6_address_is_asked_for,
    text_of_64_kilobytes_comes_over_tcp,
    texts_are_joined_by_record,
    same_question_in_flight_is_asked_once,
    question_goes_on_when_its_first_asker_has_gone,
    answer_is_remembered_for_its_time,
    answer_for_no_time_is_not_remembered,
    nothing_is_remembered_for_the_time_of_the_zone,
    failure_is_not_remembered,
    changed_resolv_conf_is_read_again,
    dead_server_is_asked_once_before_the_next,
    no_server_answers_within_the_limit,
    chain_of_aliases_is_followed_so_far,
    answer_behind_a_flood_of_forgeries_is_found,
    answer_longer_than_512_bytes_is_read,
    sixteen_addresses_of_a_name_are_taken,
    answer_is_read_no_further_than_128_records,
    long_answer_is_read_no_further_than_4_kilobytes,
    text_of_another_class_does_not_count,
    server_that_cannot_be_read_is_a_protocol_error,
    server_that_closes_over_tcp_is_an_input_output_error,
    both_families_are_found,
    family_that_is_not_answered_is_not_waited_for,
}

const LIMIT: Duration = Duration::from_secs(60);

/// Runs `test` as the programs run their resolver.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    LocalSet::new()
        .block_on(&runtime, async {
            tokio::time::timeout(deadline(), test).await
        })
        .expect("the resolver answers in time")
}

/// A resolver that asks the usual server.
fn resolver() -> Resolver {
    world::etc("resolv.conf", "nameserver 127.0.0.53\n");
    Resolver::new(LIMIT)
}

async fn name(resolver: &Resolver, ip: Ipv4Addr) -> Option<String> {
    let found = resolver.name(IpAddr::V4(ip)).await;
    found
        .expect("the server answers")
        .map(|name| String::from_utf8(name).expect("names are plain text"))
}

fn there(question: &Question, ttl: u32) -> Reply {
    question.reply().with(PTR, ttl, &packet::name("there.test"))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn loopback_address_is_asked_for() {
    let server = NameServer::of(NAME_SERVER, Zone::default().ptr(HERE, "here.test"));
    assert_eq!(run(name(&resolver(), HERE)), some("here.test"));
    assert_eq!(server.asked(), ["PTR 1.0.0.127.in-addr.arpa"]);
}

fn ipv6_address_is_asked_for() {
    let server = NameServer::of(NAME_SERVER, Zone::default());
    let found = run(resolver().name(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    assert_eq!(found.expect("the server answers"), None);
    let nibbles = format!("PTR 1.{}ip6.arpa", "0.".repeat(31));
    assert_eq!(server.asked(), [nibbles]);
}

fn text_of_64_kilobytes_comes_over_tcp() {
    let text: Vec<u8> = (0..64_000_u32)
        .flat_map(|n| n.to_be_bytes()[3..].to_vec())
        .collect();
    let data = packet::strings(&text);
    let server = NameServer::scripted(NAME_SERVER, move |question, _| {
        let reply = match question.over_tcp {
            true => question.reply().with(TXT, 60, &data),
            false => question.reply().truncated(),
        };
        vec![Act::Say(reply.bytes())]
    });
    let found = run(resolver().text(b"long.test")).expect("the server answers");
    assert!(found == [text], "{} texts", found.len());
    assert_eq!(server.asked(), ["TXT long.test", "TXT long.test over TCP"]);
}

fn texts_are_joined_by_record() {
    let _server = NameServer::scripted(NAME_SERVER, |question, _| {
        let reply = question
            .reply()
            .with(TXT, 60, b"\x05hello\x06 world")
            .with(TXT, 60, b"\x00\x02\xff\0\x00")
            .with(TXT, 60, b"\x00");
        vec![Act::Say(reply.bytes())]
    });
    let found = run(resolver().text(b"a.test")).expect("the server answers");
    assert_eq!(found, [&b"hello world"[..], b"\xff\0", b""]);
}

fn same_question_in_flight_is_asked_once() {
    let server = NameServer::scripted(NAME_SERVER, |question, _| {
        let packet = there(question, 60).bytes();
        vec![Act::SayLater(Duration::from_millis(200), packet)]
    });
    let resolver = resolver();
    run(async {
        let all: Vec<_> = (0..100)
            .map(|_| {
                let resolver = resolver.clone();
                tokio::task::spawn_local(async move { name(&resolver, THERE).await })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.expect("no panic"), some("there.test"));
        }
    });
    assert_eq!(server.asked().len(), 1);
}

fn question_goes_on_when_its_first_asker_has_gone() {
    let server = NameServer::scripted(NAME_SERVER, |question, _| {
        let packet = there(question, 60).bytes();
        vec![Act::SayLater(Duration::from_millis(300), packet)]
    });
    let resolver = resolver();
    run(async {
        let first = {
            let resolver = resolver.clone();
            tokio::task::spawn_local(async move { name(&resolver, THERE).await })
        };
        let second = {
            let resolver = resolver.clone();
            tokio::task::spawn_local(async move { name(&resolver, THERE).await })
        };
        tokio::task::yield_now().await;
        first.abort();
        assert_eq!(second.await.expect("no panic"), some("there.test"));
    });
    assert_eq!(server.asked().len(), 1);
}

fn answer_is_remembered_for_its_time() {
    let server = NameServer::scripted(NAME_SERVER, |question, _| {
        vec![Act::Say(there(question, 3).bytes())]
    });
    let resolver = resolver();
    run(async {
        for _ in 0..20 {
            assert_eq!(name(&resolver, THERE).await, some("there.test"));
        }
        assert_eq!(server.asked().len(), 1);
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(name(&resolver, THERE).await, some("there.test"));
    });
    assert_eq!(server.asked().len(), 2);
}

fn answer_for_no_time_is_not_remembered() {
    let server = NameServer::scripted(NAME_SERVER, |question, _| {
        vec![Act::Say(there(question, 0).bytes())]
    });
    let resolver = resolver();
    run(async {
        for _ in 0..3 {
            assert_eq!(name(&resolver, THERE).await, some("there.test"));
        }
    });
    assert_eq!(server.asked().len(), 3);
}

/// RFC 2308 section 5: the TTL of the SOA record, or its last field, whichever is less.
fn nothing_is_remembered_for_the_time_of_the_zone() {
    for (ttl, minimum, asked) in [(60, 60, 1), (0, 60, 3), (60, 0, 3)] {
        let server = NameServer::scripted(NAME_SERVER, move |question, _| {
            let numbers = [1, 2, 3, 4, minimum].map(u32::to_be_bytes).concat();
            let data = [&b"\0\0"[..], &numbers].concat();
            let zone = packet::name("in-addr.arpa");
            let reply = question
                .reply()
                .code(NXDOMAIN)
                .authority(&zone, SOA, ttl, &data);
            vec![Act::Say(reply.bytes())]
        });
        let resolver = resolver();
        run(async {
            for _ in 0..3 {
                assert_eq!(name(&resolver, THERE).await, None);
            }
        });
        assert_eq!(server.asked().len(), asked, "TTL {ttl}, minimum {minimum}");
    }
}

fn failure_is_not_remembered() {
    let server = NameServer::scripted(NAME_SERVER, |question, count| {
        vec![Act::Say(match count {
            0 | 1 => question.reply().code(SERVFAIL).bytes(),
            _ => there(question, 60).bytes(),
        })]
    });
    let resolver = resolver();
    run(async {
        let failure = resolver.name(IpAddr::V4(THERE)).await;
        let failure = failure.expect_err("the server fails twice");
        assert_eq!(failure.raw_os_error(), Some(libc::EAGAIN));
        assert_eq!(name(&resolver, THERE).await, some("there.test"));
    });
    assert_eq!(server.asked().len(), 3);
}

fn changed_resolv_conf_is_read_again() {
    let third = Ipv4Addr::new(127, 0, 0, 3);
    let zone = Zone::default()
        .ptr(THERE, "there.test")
        .ptr(third, "third.test");
    let first = NameServer::of(NAME_SERVER, zone.clone());
    let second = NameServer::of(SECOND_NAME_SERVER, zone);
    let resolver = resolver();
    run(async {
        assert_eq!(name(&resolver, THERE).await, some("there.test"));
        world::etc("resolv.conf", "nameserver 127.0.0.54\n");
        assert_eq!(name(&resolver, third).await, some("third.test"));
    });
    assert_eq!(first.asked(), ["PTR 2.0.0.127.in-addr.arpa"]);
    assert_eq!(second.asked(), ["PTR 3.0.0.127.in-addr.arpa"]);
}

fn dead_server_is_asked_once_before_the_next() {
    let dead = NameServer::silent(NAME_SERVER);
    let second = NameServer::of(SECOND_NAME_SERVER, Zone::default().ptr(THERE, "there.test"));
    world::etc(
        "resolv.conf",
        "nameserver 127.0.0.53\nnameserver 127.0.0.54\n",
    );
    assert_eq!(run(name(&Resolver::new(LIMIT), THERE)), some("there.test"));
    assert_eq!([dead.asked().len(), second.asked().len()], [1, 1]);
}

fn no_server_answers_within_the_limit() {
    let server = NameServer::silent(NAME_SERVER);
    world::etc("resolv.conf", "nameserver 127.0.0.53\n");
    let resolver = Resolver::new(Duration::from_millis(100));
    let failure = run(resolver.name(IpAddr::V4(THERE)));
    let failure = failure.expect_err("nobody answers");
    assert_eq!(failure.kind(), std::io::ErrorKind::TimedOut);
    server.wait_for_questions(1);
    assert_eq!(server.asked().len(), 1);
}

fn chain_of_aliases_is_followed_so_far() {
    for (length, found) in [(1, true), (16, true), (17, false)] {
        let _server = NameServer::scripted(NAME_SERVER, move |question, _| {
            let alias = |index: u32| packet::name(&format!("alias{index}.test"));
            let reply = question.reply().with(CNAME, 60, &alias(1));
            let reply = (1..length).fold(reply, |reply, index| {
                reply.with_of(&alias(index), CNAME, 60, &alias(index + 1))
            });
            let last = packet::name("there.test");
            vec![Act::Say(
                reply.with_of(&alias(length), PTR, 60, &last).bytes(),
            )]
        });
        let expected = found.then(|| "there.test".to_owned());
        assert_eq!(run(name(&resolver(), THERE)), expected, "{length} aliases");
    }
}

fn answer_behind_a_flood_of_forgeries_is_found() {
    let server = NameServer::scripted(NAME_SERVER, |question, _| {
        let forged = question.reply().with(PTR, 60, &packet::name("forged.test"));
        let mut acts: Vec<_> = (0..20_000)
            .map(|_| Act::Say(forged.clone().other_id().bytes()))
            .collect();
        // The flood may fill the queue of the socket; an answer that is lost is asked for again.
        acts.push(Act::SayLater(
            Duration::from_millis(300),
            there(question, 60).bytes(),
        ));
        acts
    });
    assert_eq!(run(name(&resolver(), THERE)), some("there.test"));
    drop(server);
}

fn answer_longer_than_512_bytes_is_read() {
    let _server = NameServer::scripted(NAME_SERVER, |question, _| {
        let reply = there(question, 60).with(TXT, 60, &packet::strings(&[b'x'; 3000]));
        vec![Act::Say(reply.bytes())]
    });
    assert_eq!(run(name(&resolver(), THERE)), some("there.test"));
}

/// Asks for IPv4 addresses; of the answer, which comes over TCP, the script makes the records.
fn addresses_over_tcp(records: fn(Reply) -> Reply) -> std::io::Result<Vec<IpAddr>> {
    let _server = NameServer::scripted(NAME_SERVER, move |question, _| {
        let reply = question.reply();
        let reply = match question.over_tcp {
            true => records(reply),
            false => reply.truncated(),
        };
        vec![Act::Say(reply.bytes())]
    });
    run(resolver().addresses(b"there.test", Families::V4))
}

fn sixteen_addresses_of_a_name_are_taken() {
    let found = addresses_over_tcp(|reply| {
        let address = |last| [127, 0, 0, last];
        (0..200).fold(reply, |reply, last| reply.with(A, 60, &address(last)))
    });
    let first: Vec<_> = (0..16)
        .map(|last| IpAddr::from([127, 0, 0, last]))
        .collect();
    assert_eq!(found.expect("the server answers"), first);
}

fn answer_is_read_no_further_than_128_records() {
    for (others, count) in [(127, 1), (128, 0)] {
        let _server = NameServer::scripted(NAME_SERVER, move |question, _| {
            let reply = (0..others).fold(question.reply(), |reply, _| reply.with(TXT, 60, b""));
            vec![Act::Say(reply.with(A, 60, &THERE.octets()).bytes())]
        });
        let found = run(resolver().addresses(b"there.test", Families::V4));
        let found = found.expect("the server answers");
        assert_eq!(found.len(), count, "behind {others} records");
    }
}

fn long_answer_is_read_no_further_than_4_kilobytes() {
    let found = addresses_over_tcp(|reply| {
        let reply = reply.with(A, 60, &HERE.octets());
        let reply = reply.with(TXT, 60, &packet::strings(&[b'x'; 4100]));
        reply.with(A, 60, &THERE.octets())
    });
    assert_eq!(found.expect("the server answers"), [IpAddr::V4(HERE)]);
}

fn text_of_another_class_does_not_count() {
    let _server = NameServer::scripted(NAME_SERVER, |question, _| {
        let reply = question.reply().with_class(CH, TXT, b"\x06forged");
        vec![Act::Say(reply.bytes())]
    });
    let found = run(resolver().text(b"a.test")).expect("the server answers");
    assert_eq!(found, [b""; 0]);
}

fn server_that_cannot_be_read_is_a_protocol_error() {
    let server = NameServer::scripted(NAME_SERVER, |question, _| {
        let cut = question.reply().with_record(*b"\xc0");
        vec![Act::Say(cut.bytes())]
    });
    let failure = run(resolver().name(IpAddr::V4(THERE))).expect_err("nothing can be read");
    assert_eq!(failure.raw_os_error(), Some(libc::EPROTO));
    assert_eq!(server.asked().len(), 2);
}

fn server_that_closes_over_tcp_is_an_input_output_error() {
    let _server = NameServer::scripted(NAME_SERVER, |question, _| match question.over_tcp {
        true => vec![Act::Close],
        false => vec![Act::Say(question.reply().truncated().bytes())],
    });
    let failure = run(resolver().name(IpAddr::V4(THERE))).expect_err("nothing comes");
    assert_eq!(failure.raw_os_error(), Some(libc::EIO));
}

fn both_families_are_found() {
    let server = NameServer::of(
        NAME_SERVER,
        Zone::default().a("there.test", &[THERE]).record(
            "there.test",
            AAAA,
            Ipv6Addr::LOCALHOST.octets().to_vec(),
        ),
    );
    let mut found = run(resolver().addresses(b"there.test", Families::Both)).expect("both answers");
    found.sort();
    assert_eq!(found, [IpAddr::V4(THERE), Ipv6Addr::LOCALHOST.into()]);
    assert_eq!(server.asked_for(), ["A there.test", "AAAA there.test"]);
}

fn family_that_is_not_answered_is_not_waited_for() {
    world::etc("resolv.conf", "nameserver 127.0.0.53\n");
    for silent in [A, AAAA] {
        let zone = Zone::default().a("there.test", &[THERE]).record(
            "there.test",
            AAAA,
            Ipv6Addr::LOCALHOST.octets().to_vec(),
        );
        let _server = NameServer::scripted(NAME_SERVER, move |question, _| {
            if question.kind == silent {
                return Vec::new();
            }
            vec![Act::Say(zone.answer(question).bytes())]
        });
        // Longer than this test may take.
        let resolver = Resolver::new(10 * deadline());
        let found = run(resolver.addresses(b"there.test", Families::Both));
        let other = if silent == A {
            IpAddr::V6(Ipv6Addr::LOCALHOST)
        } else {
            IpAddr::V4(THERE)
        };
        assert_eq!(found.expect("one family is answered"), [other]);
    }
}
