//! A crowd that connects while its server is replaced again and again: nobody is refused, reset, served twice or not logged.
//!
//! Some wait at the gate for the rest of their header or for their name, some for a slot; some programs run on for longer.
//! Each announces an address of its own, by which the log tells what became of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::upgrade::Upgradable;
use crate::support::nameserver::{Act, NameServer};
use crate::support::packet::{PTR, Question, name};
use crate::support::{net, own_net};
use crate::world::{self, World, eventually};

/// How many connections, upgrades and so on a run has; `ci/upgrade` asks for more.
pub(crate) fn size(variable: &str, small: usize) -> usize {
    let given = std::env::var(variable).ok();
    given.map_or(small, |text| text.parse().expect("a number"))
}

/// Says what a run has shown, also where the output of tests is kept from being seen.
pub(crate) fn report(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);
const SLOTS: usize = 60;
/// So many visitors of each thread have begun to ask, and so many are waited for.
const WIDTH: usize = 20;
/// So many programs of each thread run on.
const RESTING: usize = 8;
/// So many names of each thread are not known at once.
const NAMELESS: usize = 4;

/// Which visitors stay for longer, and which come from where a name server is slow.
fn rests(number: usize) -> bool {
    number % 100 == 7
}

fn is_nameless(number: usize) -> bool {
    number % 200 == 77
}

/// The address that a visitor announces, and who has announced one.
fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(10 << 24 | u32::try_from(number).expect("it is below 2^24"))
}

fn number_of(address: &str) -> Option<usize> {
    let bits = address.parse::<Ipv4Addr>().ok()?.to_bits();
    usize::try_from(bits & 0xff_ffff).ok()
}

/// A name server that knows everybody; some only when it is asked again.
fn name_server() -> NameServer {
    let mut asked = BTreeSet::new();
    NameServer::scripted(NAME_SERVER, move |question: &Question, _| {
        let labels: Vec<&str> = question.name.split('.').take(4).collect();
        let address: Vec<&str> = labels.into_iter().rev().collect();
        let number = number_of(&address.join(".")).expect("an address is asked for");
        if is_nameless(number) && asked.insert(number) {
            return Vec::new();
        }
        let known = name(&format!("n{number}.test"));
        vec![Act::Say(question.reply().with(PTR, 60, &known).bytes())]
    })
}

/// A visitor, who is to get back what it sends behind its header.
struct Visit {
    number: usize,
    stream: TcpStream,
    text: Vec<u8>,
    /// How much of it is sent.
    sent: usize,
}

/// What happened to visitors.
#[derive(Debug, Default)]
struct Fates {
    refused: AtomicUsize,
    reset: AtomicUsize,
    wrong: AtomicUsize,
}

impl Fates {
    fn of(&self, error: &std::io::Error) {
        match error.kind() {
            ErrorKind::ConnectionRefused => self.refused.fetch_add(1, Relaxed),
            _ => self.reset.fetch_add(1, Relaxed),
        };
    }

    fn are_all_well(&self) -> bool {
        let fates = [&self.refused, &self.reset, &self.wrong];
        fates.iter().all(|count| count.load(Relaxed) == 0)
    }
}

impl Visit {
    fn begin(port: u16, number: usize) -> std::io::Result<Self> {
        let mut stream = net::connect_to(port)?;
        let address = address(number);
        let header = format!("PROXY TCP4 {address} 198.51.100.2 1 2\r\n");
        let sent = match rests(number) {
            // Its program is there, and waits.
            true => header.len() + 1,
            false => number % header.len(),
        };
        let text = format!("{header}{number}\n").into_bytes();
        stream.write_all(&text[..sent])?;
        Ok(Self {
            number,
            stream,
            text,
            sent,
        })
    }

    fn ask(&mut self) -> std::io::Result<()> {
        self.stream.write_all(&self.text[self.sent..])?;
        self.stream.shutdown(Shutdown::Write)
    }

    fn hear(mut self, fates: &Fates) -> std::io::Result<()> {
        let mut answer = Vec::new();
        self.stream.read_to_end(&mut answer)?;
        if answer != format!("{}\n", self.number).into_bytes() {
            fates.wrong.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

/// One thread's visitors, who come as `next` says.
fn visit(port: u16, next: impl Fn() -> Option<usize>, fates: &Fates) {
    let mut begun = VecDeque::new();
    let mut resting = VecDeque::new();
    let mut asked = VecDeque::new();
    let mut nameless = VecDeque::new();
    loop {
        let number = next();
        let is_over = number.is_none();
        match number.map(|number| Visit::begin(port, number)) {
            Some(Ok(visit)) if rests(visit.number) => resting.push_back(visit),
            Some(Ok(visit)) => begun.push_back(visit),
            Some(Err(error)) => fates.of(&error),
            None => {}
        }
        let due = |visits: &mut VecDeque<Visit>, limit: usize| {
            let is_due = is_over || visits.len() > limit;
            is_due.then(|| visits.pop_front()).flatten()
        };
        let asking = [due(&mut begun, WIDTH), due(&mut resting, RESTING)];
        for mut visit in asking.into_iter().flatten() {
            match visit.ask() {
                Ok(()) if is_nameless(visit.number) => nameless.push_back(visit),
                Ok(()) => asked.push_back(visit),
                Err(error) => fates.of(&error),
            }
        }
        let heard = [due(&mut asked, WIDTH), due(&mut nameless, NAMELESS)];
        for visit in heard.into_iter().flatten() {
            if let Err(error) = visit.hear(fates) {
                fates.of(&error);
            }
        }
        if is_over
            && [&begun, &resting, &asked, &nameless]
                .iter()
                .all(|visits| visits.is_empty())
        {
            return;
        }
    }
}

/// What the log of the server says, line by line.
#[derive(Debug, Default)]
struct Book {
    /// How often each visitor was served.
    served: Vec<u8>,
    /// Numbers and addresses of those who wait for long, each of whom is told of once.
    waiting: BTreeSet<String>,
    /// By pid: whose program runs.
    running: BTreeMap<u32, usize>,
    ends: usize,
    /// The slots that are taken.
    taken: usize,
    /// The next version has told with how many connections it goes on, and not yet how many slots are taken.
    begins: bool,
    upgrades: usize,
    most_moved: usize,
    /// Lines that should not be there.
    wrong: Vec<String>,
}

impl Book {
    /// True when the line is to be kept.
    fn line(&mut self, line: &str) -> bool {
        let words = line.strip_prefix("tcpserver: ").unwrap_or_default();
        if self.read(words).is_none() {
            self.wrong.push(line.to_owned());
        }
        words.starts_with("upgraded, ") || words.starts_with("warning: ")
    }

    /// Nothing, when it cannot be so.
    fn read(&mut self, words: &str) -> Option<()> {
        let (kind, rest) = words.split_once(' ')?;
        let number = |text: &str| text.parse::<usize>().ok();
        let is_right = match kind {
            "status:" => {
                // One has ended, which was told before; or one more has come, which only this tells.
                let taken = number(rest.strip_suffix("/60")?)?;
                let before = std::mem::replace(&mut self.taken, taken);
                let begins = std::mem::take(&mut self.begins);
                taken == before || taken == before + 1 && !begins
            }
            "waiting" => {
                // Who has not announced anybody yet is known by that number only.
                let (number, address) = rest.split_once(" from ")?;
                let is_new = self.waiting.insert(number.to_owned());
                let is_announced = address != "127.0.0.1";
                is_new && (!is_announced || self.waiting.insert(address.to_owned()))
            }
            "pid" => {
                let (pid, address) = rest.split_once(" from ")?;
                let visitor = number_of(address)?;
                self.running.insert(pid.parse().ok()?, visitor).is_none()
            }
            "ok" => {
                let (pid, ends) = rest.split_once(' ')?;
                let &visitor = self.running.get(&pid.parse().ok()?)?;
                let served = self.served.get_mut(visitor)?;
                *served = served.saturating_add(1);
                let ip = address(visitor);
                ends == format!("0:198.51.100.2:2 n{visitor}.test:{ip}::1")
            }
            "end" => {
                let (pid, how) = rest.split_once(' ')?;
                self.ends += 1;
                self.taken = self.taken.checked_sub(1)?;
                self.running.remove(&pid.parse().ok()?).is_some() && how == "status 0"
            }
            "upgraded," => {
                let moved = number(rest.strip_suffix(" connections go on")?)?;
                self.begins = true;
                self.upgrades += 1;
                self.most_moved = self.most_moved.max(moved);
                moved == self.taken
            }
            "warning:" => rest.starts_with("not upgraded: "),
            _ => false,
        };
        is_right.then_some(())
    }

    fn is_at_rest(&self) -> bool {
        self.ends >= self.served.len() && self.taken == 0
    }
}

/// Files by which it cannot be replaced.
fn broken(world: &World) -> Vec<String> {
    world.script("crashes", "#!/bin/sh\nkill -SEGV $$\n");
    world.script("other", "#!/bin/sh\necho ucspi-tcp ready 2\n");
    world.write("no-program", "");
    let names = ["crashes", "other", "no-program", "missing"].map(|name| world.name(name));
    [&names[..], &["/bin/true".to_owned()]].concat()
}

/// Replaces it `upgrades` times, one in ten by a file that cannot serve: when the crowd has come so far.
pub(crate) fn replace(it: &Upgradable, upgrades: usize, has_come: impl Fn(usize) -> bool) {
    let mut broken = broken(&it.world).into_iter().cycle();
    for number in 0..upgrades {
        eventually("the crowd goes on", || has_come(number));
        if number % 10 == 5 {
            it.fail_to_upgrade(&broken.next().expect("there are some"));
        } else {
            it.upgrade();
        }
    }
}

#[test]
fn crowd_notices_nothing_of_upgrades() {
    let connections = size("UCSPI_UPGRADE_CONNECTIONS", 600);
    let upgrades = size("UCSPI_UPGRADES", 10);
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    if let Err(why) = own_net::enter_network() {
        return world::skip(&why);
    }
    let _names = name_server();
    let program = std::env::var("UCSPI_UPGRADE_PROGRAM").unwrap_or_else(|_| "cat".into());
    // The limit is as the book reads it.
    let options = [
        "-h",
        &format!("-c{SLOTS}"),
        "-b200",
        "--proxy=127.0.0.1",
        "--proxy-timeout=600",
    ];
    let it = Upgradable::start_with(world, "tcpserver", &options, &[&program], |launch| {
        launch.env("DNSCACHEIP", NAME_SERVER.to_string())
    });
    let book = Arc::new(Mutex::new(Book {
        served: vec![0; connections],
        ..Book::default()
    }));
    let read = {
        let book = Arc::clone(&book);
        move |line: &str| book.lock().expect("nobody panics").line(line)
    };
    it.server.log().keep_only(read);
    let (begun, fates) = (AtomicUsize::new(0), Fates::default());
    let next = || {
        let number = begun.fetch_add(1, Relaxed);
        (number < connections).then_some(number)
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| visit(it.server.port, next, &fates));
        }
        replace(&it, upgrades, |number| {
            begun.load(Relaxed) >= number * connections / upgrades
        });
    });
    eventually("all have ended", || {
        book.lock().expect("nobody panics").is_at_rest()
    });
    it.server.terminate();
    let book = book.lock().expect("nobody panics");
    let served = |times: fn(u8) -> bool| book.served.iter().filter(|&&it| times(it)).count();
    let (unlogged, doubled) = (served(|times| times == 0), served(|times| times > 1));
    report(&format!(
        "tcpserver: {connections} connections, replaced {} times of {upgrades}, with up to {} that went on: {fates:?}, \
         {doubled} doubled, {unlogged} unlogged, {} ends, {} wrong lines",
        book.upgrades,
        book.most_moved,
        book.ends,
        book.wrong.len(),
    ));
    let first = &book.wrong[..book.wrong.len().min(20)];
    assert!(first.is_empty(), "{first:#?}");
    assert!(fates.are_all_well(), "{fates:?}");
    assert_eq!((doubled, unlogged, book.ends), (0, 0, connections));
    let broken = (0..upgrades).filter(|number| number % 10 == 5).count();
    assert_eq!(book.upgrades, upgrades - broken);
}
