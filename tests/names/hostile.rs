//! Visitors whose name servers answer with as much as there can be.
//!
//! `cargo test` plays a small number of visits and looks at the memory; `ci/names-hostile` plays 10,000, and looks at the
//! clock, too, which no test may that others run beside.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ucspi_tcp::dns::foreign;

use super::daemon::Daemon;
use super::many::report;
use super::nameserver::{Act, NameServer};
use super::packet::{A, CNAME, PTR, Question, TXT};
use super::zone::Zone;
use super::{NAME_SERVER, THERE};
use crate::support::net;
use crate::support::process::{most_resident, resident};

tests! {
    largest_answers_cost_little_memory,
    largest_answers_cost_little_time,
}

/// How many visits there are when nothing is said; before answers were bounded, these took 130 MB.
const VISITS: usize = 300;
/// So many come at once, and each is followed by another one after so long: as long as the processors are not all taken,
/// it shows who waits for whom.
const AT_ONCE: usize = 2;
const PAUSE: Duration = Duration::from_millis(5);
/// In so many parts, with honest visitors alone between them: what else the machine does shall be the same for both.
const PARTS: usize = 10;
/// How much memory all of them may cost together.
const KIB_MAX: u64 = 4 * 1024;
/// How many visits of honest visitors alone are measured.
const HONEST: usize = 2000;
/// How much longer the 99th of 100 honest visitors may wait meanwhile.
const TIMES_MAX: u32 = 3;
/// No answer takes longer to read.
const READING_MAX: Duration = Duration::from_millis(1);

const PACKET_BYTES: usize = 65_535;
/// Where the name of the question is.
const NAME_AT: usize = 12;
const TTL: [u8; 4] = [0, 0, 14, 16];

/// Where the visit with this number comes from; the names of all these are of the same length.
fn visitor(number: usize) -> Ipv4Addr {
    let digits = |power: u32| u8::try_from(100 + number / 100_usize.pow(power) % 100);
    let digits = |power| digits(power).expect("it is below 200");
    Ipv4Addr::new(127, digits(2), digits(1), digits(0))
}

/// The answer sections that cost most, each in its own way, for a question whose section ends at `at`: how many records,
/// and their bytes.
fn largest(at: usize) -> [(&'static str, u16, Vec<u8>); 7] {
    [
        ("names", names(at)),
        ("names of their own", own_names()),
        ("aliases", aliases()),
        ("aliases from the last to the first", aliases_backwards()),
        ("aliases of long names", long_aliases(at)),
        ("records that nobody asked for", others()),
        ("pointers to pointers", pointers(at)),
    ]
    .map(|(label, records)| {
        let count = u16::try_from(records.len()).expect("they fit into a packet");
        (label, count, records.concat())
    })
}

/// A record without its data's length.
fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("it fits into a packet");
    let [kind, class] = [kind, 1].map(u16::to_be_bytes);
    [owner, &kind, &class, &TTL, &length.to_be_bytes(), data].concat()
}

fn pointer(to: usize) -> [u8; 2] {
    (u16::try_from(to).expect("a packet is short") | 0xc000).to_be_bytes()
}

/// As many of the records as fit into a packet behind the longest question.
fn filled(records: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut left = PACKET_BYTES - 300;
    records
        .map_while(|record| {
            left = left.checked_sub(record.len())?;
            Some(record)
        })
        .collect()
}

/// 255 bytes that are printed as 1,003.
fn long_name(first: usize) -> Vec<u8> {
    let first = u8::try_from(first % 100).expect("it is below 100");
    let mut name = [&[63][..], &[0xff; 63]].concat().repeat(3);
    name.extend([&[61][..], &[0xff; 61], &[0]].concat());
    name[1] = 0x80 + first;
    name
}

/// 4,600 names, all of them one of 255 bytes.
fn names(at: usize) -> Vec<Vec<u8>> {
    let first = record(&pointer(NAME_AT), PTR, &long_name(0));
    let again = record(&pointer(NAME_AT), PTR, &pointer(at + 12));
    filled(std::iter::once(first).chain(std::iter::repeat(again)))
}

fn own_names() -> Vec<Vec<u8>> {
    filled((0..).map(|number| record(&pointer(NAME_AT), PTR, &long_name(number))))
}

/// The name of the question, behind two letters.
fn alias(number: usize) -> Vec<u8> {
    let letter = |number: usize| b'a' + u8::try_from(number % 26).expect("a letter");
    let letters = [letter(number), letter(number / 26), letter(number / 676)];
    [&[3][..], &letters, &pointer(NAME_AT)].concat()
}

fn aliases() -> Vec<Vec<u8>> {
    let first = record(&pointer(NAME_AT), CNAME, &alias(0));
    let others = (0..).map(|number| record(&alias(number), CNAME, &alias(number + 1)));
    filled(std::iter::once(first).chain(others))
}

fn aliases_backwards() -> Vec<Vec<u8>> {
    let mut records = aliases();
    records.reverse();
    records
}

fn long_aliases(at: usize) -> Vec<Vec<u8>> {
    let mut owner = pointer(NAME_AT).to_vec();
    let mut next = at;
    filled((0..).map(|number| {
        let record = record(&owner, CNAME, &long_name(number));
        // Beyond 16 kB nothing can be pointed at.
        owner = match next + owner.len() + 10 {
            target @ ..0x4000 => pointer(target).to_vec(),
            _ => long_name(number),
        };
        next += record.len();
        record
    }))
}

fn others() -> Vec<Vec<u8>> {
    filled(std::iter::repeat_with(|| record(&[0], TXT, &[])))
}

/// Owners that are found behind 2,000 pointers.
fn pointers(at: usize) -> Vec<Vec<u8>> {
    let start = at + 11;
    let mut chain = pointer(NAME_AT).to_vec();
    for number in 0..2000 {
        chain.extend(pointer(start + 2 * number));
    }
    let last = pointer(start + chain.len() - 2);
    let again = record(&last, PTR, &last);
    let first = record(&[0], 65_280, &chain);
    filled(std::iter::once(first).chain(std::iter::repeat(again)))
}

/// The answer to `question` with this section.
fn answer(question: &Question, count: u16, section: &[u8]) -> Vec<u8> {
    let mut packet = question.reply().bytes();
    packet[6..8].copy_from_slice(&count.to_be_bytes());
    packet.extend_from_slice(section);
    packet
}

/// A question as it is asked, under the id 0.
fn question(name: &str, kind: u16) -> Question {
    let name = super::packet::name(name);
    let packet = [&[0; 12][..], &name, &kind.to_be_bytes(), &[0, 1]].concat();
    Question::read(&packet, true).expect("it is one")
}

/// A name server that has the largest answers, one or the other, for all that is not about the honest visitor.
fn server() -> NameServer {
    let zone = Zone::default()
        .ptr(THERE, "there.test")
        .a("there.test", &[THERE]);
    let at = question("100.100.100.127.in-addr.arpa", PTR)
        .reply()
        .answers_at();
    let sections = largest(at);
    NameServer::scripted(NAME_SERVER, move |question, _| {
        let known = zone.answer(question);
        let reply = match question.over_tcp {
            true => {
                let sum: usize = question.name.bytes().map(usize::from).sum();
                let (_, records, section) = &sections[sum % sections.len()];
                answer(question, *records, section)
            }
            false if known.is_empty() => question.reply().truncated().bytes(),
            false => known.bytes(),
        };
        vec![Act::Say(reply)]
    })
}

/// The whole number in this variable, which `ci/names-hostile` sets.
fn number(variable: &str) -> Option<usize> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

/// One visit, from its beginning to its end.
fn visit(server: &Daemon, from: Ipv4Addr) -> Duration {
    let start = Instant::now();
    assert_eq!(net::receive_all(&mut server.connect(from)), b"served\n");
    start.elapsed()
}

/// The 99th of 100, and the one in the middle.
fn percentiles(mut times: Vec<Duration>) -> [Duration; 2] {
    times.sort();
    [99, 50].map(|percent| times[(times.len() - 1) * percent / 100])
}

/// The honest visits beside hostile ones with these numbers.
fn beside(server: &Daemon, numbers: Range<usize>) -> Vec<Duration> {
    let next = AtomicUsize::new(numbers.start);
    std::thread::scope(|scope| {
        let hostile = || {
            let next = std::iter::repeat_with(|| next.fetch_add(1, Ordering::SeqCst));
            for number in next.take_while(|number| *number < numbers.end) {
                visit(server, visitor(number));
                std::thread::sleep(PAUSE);
            }
        };
        let all = [(); AT_ONCE].map(|()| scope.spawn(hostile));
        let mut honest = Vec::new();
        while !all.iter().all(|thread| thread.is_finished()) {
            honest.push(visit(server, THERE));
        }
        honest
    })
}

fn largest_answers_cost_little_memory() {
    let measured = number("UCSPI_HOSTILE_VISITS");
    let visits = measured.unwrap_or(VISITS);
    let _name_server = server();
    let server = Daemon::start(&["-pRl0", "-b100"], &["echo", "served"], |launch| {
        launch.env("DNSCACHEIP", NAME_SERVER.to_string())
    });
    let alone =
        |count: usize| -> Vec<Duration> { (0..count).map(|_| visit(&server, THERE)).collect() };
    alone(HONEST / PARTS);
    let before = resident(server.pid());
    let (mut idle, mut meanwhile) = (Vec::new(), Vec::new());
    for part in 0..PARTS {
        idle.append(&mut alone(HONEST / PARTS));
        let numbers = part * visits / PARTS..(part + 1) * visits / PARTS;
        meanwhile.append(&mut beside(&server, numbers));
    }
    let [most, after] = [most_resident, resident].map(|size| size(server.pid()));
    let [idle, meanwhile] = [idle, meanwhile].map(percentiles);
    report(&format!(
        "{visits} visitors with the largest answers: {before} KiB before, {most} KiB at most, {after} KiB after; honest ones \
         waited {idle:?} alone and {meanwhile:?} meanwhile (99 of 100, and the middle)"
    ));
    server.terminate();
    assert!(most <= before + KIB_MAX, "{most} KiB, {before} KiB before");
    if measured.is_some() {
        assert!(meanwhile[0] <= TIMES_MAX * idle[0]);
    }
}

/// What each of the largest answers takes to read, and that all is bounded.
fn largest_answers_cost_little_time() {
    const NAME: &str = "100.100.100.127.in-addr.arpa";
    for kind in [PTR, A, TXT] {
        let question = question(NAME, kind);
        for (label, count, section) in largest(question.reply().answers_at()) {
            let packet = answer(&question, count, &section);
            let read = || foreign::answer(&packet, NAME.as_bytes(), kind);
            let records = read().unwrap_or_default();
            assert!(records.len() <= 16, "{label}: {} records", records.len());
            let times = (0..50).map(|_| {
                let start = Instant::now();
                std::hint::black_box(read());
                start.elapsed()
            });
            let least = times.min().expect("there are some");
            report(&format!(
                "{label}, {count} records of {} bytes, asked for {kind}: {least:?}",
                packet.len()
            ));
            if number("UCSPI_HOSTILE_VISITS").is_some() {
                assert!(least <= READING_MAX, "{label}");
            }
        }
    }
}
