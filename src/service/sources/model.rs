//! The sources beside a naive model: a list that is searched from end to end, sums over all that ever happened, and no
//! limit of its own but the number of sources.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use proptest::prelude::*;

use super::{Allowance, Book, Lengths, Terms, Visit};
use crate::service::penalty::{End, Penalties, Penalty};
use crate::service::prefix::{Networks, prefix};
use crate::service::rate::{Moment, Rate};
use crate::service::tally::Reason;

/// So few that many are forgotten.
const CAPACITY: usize = 8;

/// A source of the model.
#[derive(Debug)]
struct Naive {
    prefix: ipnet::IpNet,
    open: u32,
    /// The time that is missing until all tokens are there, and when that was so; of both rates.
    missing: [(Duration, Moment); 2],
    /// What was added, when, and in what time half of it goes.
    penalties: Vec<(f64, Moment, f64)>,
    /// It was punished since it was last found to be without a penalty.
    is_burdened: bool,
    /// The event that last touched it.
    touched: u64,
}

#[derive(Default)]
struct Model {
    sources: Vec<Naive>,
    bans: Vec<(ipnet::IpNet, Moment)>,
    events: u64,
}

impl Naive {
    fn missing(&self, rate: usize, now: Moment) -> Duration {
        let (missing, known) = self.missing[rate];
        missing.saturating_sub(now.since(known))
    }

    fn has_token(&self, which: usize, rate: Rate, now: Moment) -> bool {
        let missing_tokens = self.missing(which, now).as_nanos();
        let every = rate.every.as_nanos();
        missing_tokens + every <= every * u128::from(rate.burst)
    }

    fn take(&mut self, which: usize, rate: Rate, now: Moment) {
        self.missing[which] = (self.missing(which, now) + rate.every, now);
    }

    fn penalty(&self, now: Moment) -> f64 {
        let faded = |&(added, then, half): &(f64, Moment, f64)| {
            added * 0.5_f64.powf(now.since(then).as_secs_f64() / half)
        };
        self.penalties.iter().map(faded).sum()
    }
}

impl Model {
    fn of_family(&mut self, ip: IpAddr) -> impl Iterator<Item = &mut Naive> {
        let is_same = move |source: &&mut Naive| source.prefix.addr().is_ipv4() == ip.is_ipv4();
        self.sources.iter_mut().filter(is_same)
    }

    fn source(&mut self, prefix: ipnet::IpNet) -> &mut Naive {
        let events = self.events;
        let found = self
            .sources
            .iter_mut()
            .find(|source| source.prefix == prefix);
        let source = found.expect("a source with an open connection is not forgotten");
        source.touched = events;
        source
    }

    /// Makes `prefix` known; of nine sources the least interesting one goes.
    fn know(&mut self, prefix: ipnet::IpNet, now: Moment) {
        if self.sources.iter().any(|source| source.prefix == prefix) {
            return;
        }
        let new = Naive {
            prefix,
            open: 0,
            missing: [(Duration::ZERO, now); 2],
            penalties: Vec::new(),
            is_burdened: false,
            touched: 0,
        };
        if self.of_family(prefix.addr()).count() >= CAPACITY {
            let mut resting: Vec<&mut Naive> = self
                .of_family(prefix.addr())
                .filter(|source| source.open == 0)
                .collect();
            resting.sort_by_key(|source| source.touched);
            let burdened = resting.iter().find(|source| source.is_burdened);
            let forgotten = burdened.filter(|source| source.penalty(now) < 0.1);
            let plain = resting.iter().find(|source| !source.is_burdened);
            let least = forgotten.or(plain).or(burdened).map(|source| source.prefix);
            if let Some(least) = least {
                *self.source(least) = new;
                return;
            }
        }
        self.sources.push(new);
    }

    fn enter(&mut self, terms: &Terms, ip: IpAddr, now: Moment) -> Result<u32, Reason> {
        let is_banned =
            |(prefix, until): &(ipnet::IpNet, Moment)| prefix.contains(&ip) && now < *until;
        if self.bans.iter().any(is_banned) {
            return Err(Reason::Penalty);
        }
        let prefix = terms.lengths.of(ip);
        self.know(prefix, now);
        let source = self.source(prefix);
        if source.penalty(now) > terms.penalties.threshold.as_secs_f64()
            && !terms.penalties.spare(ip)
        {
            return Err(Reason::Penalty);
        }
        if terms.limit.is_some_and(|limit| source.open >= limit) {
            return Err(Reason::Limit);
        }
        if let Some(rate) = terms.rate {
            if !source.has_token(0, rate, now) {
                return Err(Reason::Rate);
            }
            source.take(0, rate, now);
        }
        source.open += 1;
        Ok(source.open)
    }
}

/// A guest of both.
struct Guest {
    visit: Visit,
    prefix: ipnet::IpNet,
    ranks: [u32; 2],
    end: End,
}

/// Both, and the dice.
struct Both {
    book: Book,
    model: Model,
    guests: Vec<Guest>,
    now: Duration,
    seed: u64,
}

impl Both {
    fn new(seed: u64) -> Self {
        let mut both = Self {
            book: Book::new(Terms::default(), CAPACITY),
            model: Model::default(),
            guests: Vec::new(),
            now: Duration::ZERO,
            seed: seed | 1,
        };
        both.book.terms.are_ruled = true;
        both.book.terms.penalties = Penalties {
            list: Penalty::list(b"1:20,2:5,signal:30,under:1:3").unwrap(),
            exempt: Networks::parse(b"10.0.3.0/30,2001:db8:3::/48").unwrap(),
            max: Duration::from_secs(60),
            ..Penalties::default()
        };
        both
    }

    /// Below `limit`; xorshift.
    fn roll(&mut self, limit: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % limit
    }

    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.roll(limit.into())).unwrap()
    }

    fn octet(&mut self, limit: u8) -> u8 {
        u8::try_from(self.roll(limit.into())).unwrap()
    }

    fn ip(&mut self) -> IpAddr {
        let (network, host) = (self.octet(5), self.octet(6));
        if self.roll(2) == 0 {
            Ipv4Addr::new(10, 0, network, host).into()
        } else {
            let [network, host] = [network, host].map(u16::from);
            Ipv6Addr::new(0x2001, 0xdb8, network, host, 0, 0, 0, 1).into()
        }
    }

    fn rate(&mut self) -> Option<Rate> {
        let texts = ["1/1", "3/10:2", "5/0.5:9", "10/7:1"];
        let chosen = usize::try_from(self.roll(6)).unwrap();
        texts
            .get(chosen)
            .and_then(|text| Rate::parse(text.as_bytes()))
    }

    fn limit(&mut self) -> Option<u32> {
        (self.roll(3) > 0).then(|| self.below(4))
    }

    fn step(&mut self) {
        let nanoseconds = self.roll(600_000_000);
        self.now += Duration::from_nanos(nanoseconds);
        self.model.events += 1;
        match self.roll(100) {
            0 => {
                (self.book.terms.limit, self.book.terms.rate) = (self.limit(), self.rate());
                let threshold = self.roll(40);
                self.book.terms.penalties.threshold = Duration::from_secs(threshold);
            }
            1 => self.ban(),
            2 => self.unban(),
            3 => self.now += Duration::from_secs(50),
            4..60 => self.enter(),
            _ => self.leave(),
        }
    }

    fn moment(&self) -> Moment {
        Moment::after(self.now)
    }

    fn enter(&mut self) {
        let (ip, now) = (self.ip(), self.moment());
        let entered = self.book.enter(ip, now);
        let expected = self.model.enter(&self.book.terms, ip, now);
        let open = entered
            .as_ref()
            .map(|visit| visit.rank)
            .map_err(|reason| *reason);
        assert_eq!(open, expected, "{ip} at {now:?}");
        let Ok(visit) = entered else { return };
        let of_network =
            |guest: &&Guest| Lengths::NEIGHBOURS.of(guest.visit.ip) == Lengths::NEIGHBOURS.of(ip);
        let neighbours = self.guests.iter().filter(of_network).count() + 1;
        let ranks = [visit.rank, u32::try_from(neighbours).unwrap()];
        let (status, served) = (self.roll(4), self.roll(3));
        let guest = Guest {
            visit,
            prefix: self.book.terms.lengths.of(ip),
            ranks,
            end: End {
                status: Some(if status == 3 {
                    9
                } else {
                    i32::try_from(status).unwrap() << 8
                }),
                served: Duration::from_secs(served),
            },
        };
        self.decide(guest);
    }

    /// The rule of a guest counts, now or never.
    fn decide(&mut self, mut guest: Guest) {
        let allowance = Allowance {
            open: self.limit().map(|limit| limit + 1),
            neighbours: self.limit().map(|limit| limit + 3),
            rate: self.rate(),
        };
        let now = self.moment();
        let held = self.book.hold(&guest.visit, &allowance, now);
        let source = self.model.source(guest.prefix);
        let is_above = |limit: Option<u32>, rank| limit.is_some_and(|limit| rank > limit);
        let expected = if is_above(allowance.open, guest.ranks[0])
            || is_above(allowance.neighbours, guest.ranks[1])
        {
            Err(Reason::Limit)
        } else if allowance
            .rate
            .is_some_and(|rate| !source.has_token(1, rate, now))
        {
            Err(Reason::Rate)
        } else {
            if let Some(rate) = allowance.rate {
                source.take(1, rate, now);
            }
            Ok(())
        };
        assert_eq!(held, expected, "{guest:?}", guest = guest.visit);
        match held {
            Ok(()) => {
                self.book.serve(&mut guest.visit);
                self.guests.push(guest);
            }
            Err(_) => self.gone(guest, false),
        }
    }

    fn leave(&mut self) {
        if let Some(last) = u64::try_from(self.guests.len())
            .ok()
            .filter(|&count| count > 0)
        {
            let chosen = usize::try_from(self.roll(last)).unwrap();
            let guest = self.guests.swap_remove(chosen);
            self.gone(guest, true);
        }
    }

    fn gone(&mut self, guest: Guest, was_served: bool) {
        let Guest {
            visit, prefix, end, ..
        } = guest;
        let now = self.moment();
        let penalties = &self.book.terms.penalties;
        let is_spared = penalties.spare(visit.ip);
        let (list, max) = (penalties.list.clone(), penalties.max.as_secs_f64());
        let source = self.model.source(prefix);
        if was_served && !is_spared {
            for penalty in list.iter().filter(|penalty| penalty.punishes(end)) {
                let more = penalty.seconds.min((max - source.penalty(now)).max(0.0));
                source.penalties.push((more, now, penalty.seconds));
                source.is_burdened = true;
            }
        }
        if let (false, Some(rate)) = (was_served, visit.paid) {
            source.missing[0] = (source.missing(0, now).saturating_sub(rate.every), now);
        }
        source.open -= 1;
        if source.penalty(now) < 0.1 {
            source.penalties.clear();
            source.is_burdened = false;
        }
        if was_served {
            self.book.punish(&visit, end, now);
        }
        self.book.leave(&visit, now);
    }

    fn some_prefix(&mut self) -> ipnet::IpNet {
        let ip = self.ip();
        let longest = if ip.is_ipv4() { 17 } else { 33 };
        let length = 16 + self.roll(longest);
        prefix(format!("{ip}/{length}").as_bytes()).unwrap()
    }

    fn ban(&mut self) {
        let (prefix, time) = (self.some_prefix(), Duration::from_secs(self.roll(5)));
        let now = self.moment();
        assert!(self.book.bans.add(prefix, time, now));
        self.model.bans.retain(|(banned, _)| *banned != prefix);
        self.model.bans.push((prefix, now.plus(time)));
    }

    fn unban(&mut self) {
        let now = self.moment();
        let mut prefix = self.some_prefix();
        if self.roll(2) == 0
            && let Some((banned, _)) = self.model.bans.last()
        {
            prefix = *banned;
        }
        let mut expected = self
            .model
            .bans
            .iter()
            .any(|(banned, until)| *banned == prefix && now < *until);
        self.model.bans.retain(|(banned, _)| *banned != prefix);
        let Model {
            sources, events, ..
        } = &mut self.model;
        for source in sources {
            if prefix.contains(&source.prefix) && source.is_burdened {
                *events += 1;
                source.penalties.clear();
                source.is_burdened = false;
                source.touched = *events;
                expected = true;
            }
        }
        assert_eq!(self.book.unban(prefix, now), expected, "{prefix}");
    }

    /// What is known of both is the same, and the queues are whole.
    fn compare(&self) {
        let now = self.moment();
        let seen = self.book.top(usize::MAX, now);
        let open: u32 = seen.iter().map(|seen| seen.open).sum();
        assert_eq!(open as usize, self.guests.len());
        assert_eq!(seen.len(), self.model.sources.len());
        for seen in &seen {
            let source = self
                .model
                .sources
                .iter()
                .find(|source| source.prefix == seen.prefix);
            let source = source.unwrap_or_else(|| panic!("{} is known to one only", seen.prefix));
            assert_eq!(seen.open, source.open);
            assert!(
                (seen.penalty - source.penalty(now)).abs() < 1e-6,
                "{seen:?}"
            );
        }
        let neighbours: u32 = self.book.neighbours.values().sum();
        assert_eq!(neighbours as usize, self.guests.len());
    }

    fn run(&mut self, events: u32) {
        for event in 0..events {
            self.step();
            if event % 97 == 0 {
                self.compare();
            }
        }
        while let Some(guest) = self.guests.pop() {
            self.model.events += 1;
            self.gone(guest, true);
        }
        self.compare();
        assert!(self.book.neighbours.is_empty());
    }
}

#[test]
fn a_million_random_events_are_those_of_a_naive_model() {
    Both::new(20_261_126).run(1_000_000);
}

proptest! {
    #[test]
    fn any_few_events_are_those_of_a_naive_model(seed in any::<u64>()) {
        Both::new(seed).run(300);
    }

    /// Whatever comes in what order, no more of a source are served than its rule allows.
    #[test]
    fn rule_is_kept_whoever_is_decided_first(steps in proptest::collection::vec((0..3_u8, any::<proptest::sample::Index>()), 1..200), limit in 0..4_u32) {
        let mut book = Book::new(Terms { are_ruled: true, ..Terms::default() }, CAPACITY);
        let allowance = Allowance { open: Some(limit), ..Allowance::default() };
        let ip = Ipv4Addr::LOCALHOST.into();
        let now = Moment::default();
        let (mut waiting, mut served) = (Vec::new(), Vec::new());
        for (step, index) in steps {
            match step {
                0 => waiting.push(book.enter(ip, now).unwrap()),
                1 if !waiting.is_empty() => {
                    let visit = waiting.remove(index.index(waiting.len()));
                    match book.hold(&visit, &allowance, now) {
                        Ok(()) => served.push(visit),
                        Err(_) => book.leave(&visit, now),
                    }
                }
                2 if !served.is_empty() => {
                    let visit = served.remove(index.index(served.len()));
                    book.leave(&visit, now);
                }
                _ => {}
            }
            prop_assert!(served.len() <= limit as usize);
        }
    }
}

#[test]
fn first_ones_of_many_that_wait_together_get_in() {
    let mut book = Book::new(
        Terms {
            are_ruled: true,
            ..Terms::default()
        },
        CAPACITY,
    );
    let allowance = Allowance {
        open: Some(3),
        ..Allowance::default()
    };
    let ip = Ipv4Addr::LOCALHOST.into();
    let now = Moment::default();
    let visits: Vec<Visit> = (0..5).map(|_| book.enter(ip, now).unwrap()).collect();
    let held: Vec<bool> = visits
        .iter()
        .map(|visit| book.hold(visit, &allowance, now).is_ok())
        .collect();
    assert_eq!(held, [true, true, true, false, false]);
}

#[test]
fn many_sources_of_one_family_push_out_none_of_the_other() {
    let mut book = Book::new(Terms::default(), CAPACITY);
    let now = Moment::default();
    let friend = book.enter("192.0.2.1".parse().unwrap(), now).unwrap();
    book.leave(&friend, now);
    for network in 0..1000 {
        let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, 1).into();
        let visit = book.enter(ip, now).unwrap();
        book.leave(&visit, now);
    }
    assert_eq!(
        (book.v4.sources.len(), book.v6.sources.len()),
        (1, CAPACITY)
    );
}
