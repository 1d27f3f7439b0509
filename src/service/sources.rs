//! Who connects how often: sources, each a prefix of addresses, with what is open, the tokens that are left, and the
//! penalties. Pure over prefix and time.
//!
//! IPv4 and IPv6 have tables of their own, so that who has many addresses of one cannot push out those of the other.
//! Each remembers [`SOURCES_MAX`] sources; then the least interesting one goes: never one with an open connection, before
//! one with a penalty one without, and of equals the one that was seen last the longest time ago. So the table holds
//! more only where more sources than that are connected at once. Every question takes the same time, however many sources
//! there are.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::pack::{Packer, Unpacker};
use super::penalty::{Burden, End, Penalties, Penalty};
use super::prefix::{Lengths, Networks};
use super::rate::{Bucket, Moment, Rate};
use super::tally::Reason;
use crate::cli::Opt;

/// What the command line says about sources.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The prefixes that make one source.
    pub lengths: Lengths,
    /// How many connections of one may be open at once.
    pub limit: Option<u32>,
    /// How often one may connect.
    pub rate: Option<Rate>,
    /// What their ends cost.
    pub penalties: Penalties,
    /// The settings of a rule count too; see `Entered::hold_to`.
    pub are_ruled: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            lengths: Lengths::SOURCE,
            limit: None,
            rate: None,
            penalties: Penalties::default(),
            are_ruled: false,
        }
    }
}

impl Terms {
    /// The options for them.
    pub const OPTIONS: &'static [Opt<Self>] = &[
        Opt::value(
            "source",
            "v4[,v6]",
            "take so long a prefix for one source (default 32,64)",
            |terms, value| {
                terms.lengths = value.parse(Lengths::FORM, Lengths::parse)?;
                Ok(())
            },
        ),
        Opt::value(
            "source-limit",
            "number",
            "serve at most this many connections of one source at once",
            |terms, value| {
                terms.limit = Some(value.number(1..=u32::MAX)?);
                Ok(())
            },
        ),
        Opt::value(
            "source-rate",
            "rate",
            "serve one source so often, number/seconds[:burst], and refuse the rest",
            |terms, value| {
                terms.rate = Some(value.parse(Rate::FORM, Rate::parse)?);
                Ok(())
            },
        ),
        Opt::flag(
            "rule-limits",
            "obey MAXCONNIP, MAXCONNC, MAXRATE, MAXLOAD and DIEMSG of the rule that matches",
            |terms| terms.are_ruled = true,
        ),
        Opt::value(
            "penalty",
            "list",
            "punish sources for ends: status:seconds[,...], status also 1-9, signal, under:2",
            |terms, value| {
                terms.penalties.list = value.parse(Penalty::FORM, Penalty::list)?;
                Ok(())
            },
        ),
        Opt::value(
            "penalty-threshold",
            "seconds",
            "refuse a source above this penalty (default 15)",
            |terms, value| {
                terms.penalties.threshold = value.seconds()?;
                Ok(())
            },
        ),
        Opt::value(
            "penalty-max",
            "seconds",
            "let no penalty grow above this (default 600)",
            |terms, value| {
                terms.penalties.max = value.seconds()?;
                Ok(())
            },
        ),
        Opt::value(
            "penalty-exempt",
            "networks",
            "punish nobody in these networks: 192.0.2.0/24,2001:db8::/32",
            |terms, value| {
                terms.penalties.exempt = value.parse(Networks::FORM, Networks::parse)?;
                Ok(())
            },
        ),
    ];

    /// True when nothing of a source matters.
    pub(crate) fn are_none(&self) -> bool {
        let has_penalties = !self.penalties.list.is_empty();
        self.limit.is_none() && self.rate.is_none() && !has_penalties && !self.are_ruled
    }
}

/// What a rule allows the source of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    /// How many of its connections may be open at once.
    pub(crate) open: Option<u32>,
    /// How many of its network (/24 or /48).
    pub(crate) neighbours: Option<u32>,
    /// How often it may connect.
    pub(crate) rate: Option<Rate>,
}

/// The sources of a service. Clones are of the same ones, on any thread.
#[derive(Clone, Debug)]
pub(crate) struct Sources(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began: Instant,
    book: Mutex<Book>,
}

/// A connection that counts for its source, until this is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    sources: Sources,
    visit: Visit,
}

/// A connection that counts.
#[derive(Debug)]
struct Visit {
    ip: IpAddr,
    place: Place,
    /// How many were open, of the source and of its neighbours, when this one came, itself among them.
    rank: u32,
    neighbours_rank: u32,
    /// What it took of the rate, to be put back if it is refused after all.
    paid: Option<Rate>,
}

/// One source, for people.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) prefix: IpNet,
    /// Connections that are open.
    pub(crate) open: u32,
    /// Connections that were let in, since it was last forgotten.
    pub(crate) entered: u32,
    /// Connections that were refused because of the source.
    pub(crate) refused: u32,
    /// Its penalty now, in seconds.
    pub(crate) penalty: f64,
}

/// A prefix that may not connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ban {
    pub(crate) prefix: IpNet,
    pub(crate) left: Duration,
}

impl Sources {
    pub(crate) fn new(terms: Terms) -> Self {
        Self(Arc::new(Shared {
            began: Instant::now(),
            book: Mutex::new(Book::new(terms, SOURCES_MAX)),
        }))
    }

    /// Those of the process before, as [`Self::pack`] left them, which then count by these terms. None of their connections
    /// is open, see [`Self::readmit`].
    pub(crate) fn unpack(from: &mut Unpacker<'_>, terms: Terms) -> Option<Self> {
        let began = from.past()?;
        let book = Mutex::new(Book::unpack(from, terms)?);
        Some(Self(Arc::new(Shared { began, book })))
    }

    /// All that is known, but for the connections that are open.
    pub(crate) fn pack(&self, to: &mut Packer) {
        to.past(self.0.began);
        self.book().pack(to);
    }

    fn now(&self) -> Moment {
        Moment::after(self.0.began.elapsed())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing that holds it can panic half way: the process ends at a panic.
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more connection of `ip`, an IPv4 address as IPv4.
    ///
    /// # Errors
    /// Why its source may not have it: a penalty, too many open, too often; or no memory.
    pub(crate) fn enter(&self, ip: IpAddr) -> Result<Entered, Reason> {
        let now = self.now();
        let visit = self.book().enter(ip, now)?;
        Ok(Entered {
            sources: self.clone(),
            visit,
        })
    }

    /// Counts a connection of `ip` that was let in before this process began to count.
    pub(crate) fn readmit(&self, ip: IpAddr) -> Option<Entered> {
        let now = self.now();
        let visit = self.book().readmit(ip, now)?;
        Some(Entered {
            sources: self.clone(),
            visit,
        })
    }

    /// Refuses everybody in `prefix` for `time`. False when as many bans are on as there may be.
    pub(crate) fn ban(&self, prefix: IpNet, time: Duration) -> bool {
        let now = self.now();
        self.book().bans.add(prefix, time, now)
    }

    /// Lifts the ban of exactly `prefix` and forgets the penalties of the sources in it. False when there was neither.
    pub(crate) fn unban(&self, prefix: IpNet) -> bool {
        let now = self.now();
        self.book().unban(prefix, now)
    }

    /// The bans that are on.
    pub(crate) fn bans(&self) -> Vec<Ban> {
        let now = self.now();
        self.book().bans.list(now)
    }

    /// The `count` sources of most interest: by open connections, then by penalty, then by how often they were refused and let in.
    pub(crate) fn top(&self, count: usize) -> Vec<Seen> {
        let now = self.now();
        self.book().top(count, now)
    }

    /// How many sources are remembered.
    pub(crate) fn count(&self) -> usize {
        let book = self.book();
        book.v4.index.len() + book.v6.index.len()
    }
}

impl Entered {
    /// Holds the connection to what its rule allows. Last of all that may refuse it: what it takes of that rate is spent.
    ///
    /// # Errors
    /// Why it is too much.
    pub(crate) fn hold_to(&self, allowance: &Allowance) -> Result<(), Reason> {
        let now = self.sources.now();
        self.sources.book().hold(&self.visit, allowance, now)
    }

    /// It is let in: what it took of the rate of sources is spent.
    pub(crate) fn served(&mut self) {
        self.sources.book().serve(&mut self.visit);
    }

    /// It was served and has ended: its source bears what that costs, and has one less.
    pub(crate) fn ended(self, end: End) {
        let now = self.sources.now();
        self.sources.book().punish(&self.visit, end, now);
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let now = self.sources.now();
        self.sources.book().leave(&self.visit, now);
    }
}

/// How many sources of one family are remembered.
const SOURCES_MAX: usize = 65_536;

/// All that is known.
#[derive(Debug)]
struct Book {
    terms: Terms,
    v4: Table,
    v6: Table,
    /// Open connections by network, where rules may limit them; those that have none are not there.
    neighbours: HashMap<IpNet, u32>,
    bans: Bans,
}

/// Where a source stands in its table.
type Place = usize;

impl Book {
    fn new(terms: Terms, capacity: usize) -> Self {
        Self {
            terms,
            v4: Table::new(capacity),
            v6: Table::new(capacity),
            neighbours: HashMap::new(),
            bans: Bans::default(),
        }
    }

    /// The terms, and the table of the family of `ip`.
    fn of(&mut self, ip: IpAddr) -> (&Terms, &mut Table) {
        let table = if ip.is_ipv4() {
            &mut self.v4
        } else {
            &mut self.v6
        };
        (&self.terms, table)
    }

    fn pack(&self, to: &mut Packer) {
        for table in [&self.v4, &self.v6] {
            to.list(table.by_interest().into_iter(), |to, at| {
                table.sources[at].pack(to)
            });
        }
        to.list(self.bans.until.iter(), |to, (prefix, until)| {
            to.text(prefix);
            until.pack(to);
        });
    }

    fn unpack(from: &mut Unpacker<'_>, terms: Terms) -> Option<Self> {
        let mut book = Self::new(terms, SOURCES_MAX);
        let penalties = &book.terms.penalties;
        for table in [&mut book.v4, &mut book.v6] {
            for source in from.list(|from| Source::unpack(from, penalties))? {
                let at = table.place(source.prefix, penalties, Moment::default())?;
                table.unlink(at);
                *table.source(at) = source;
                table.rest(at);
            }
        }
        let bans = from.list(|from| Some((from.text()?, Moment::unpack(from)?)))?;
        for (prefix, until) in bans {
            let begun = Moment::default();
            book.bans.add(prefix, until.since(begun), begun);
        }
        Some(book)
    }

    /// Counts one more of `ip` that was counted before.
    fn readmit(&mut self, ip: IpAddr, now: Moment) -> Option<Visit> {
        let (terms, table) = self.of(ip);
        let at = table.place(terms.lengths.of(ip), &terms.penalties, now)?;
        let source = table.source(at);
        source.open += 1;
        let rank = source.open;
        table.rest(at);
        if self.terms.are_ruled {
            self.count_neighbour(ip);
        }
        Some(Visit {
            ip,
            place: at,
            rank,
            neighbours_rank: self.neighbours(ip),
            paid: None,
        })
    }

    fn count_neighbour(&mut self, ip: IpAddr) {
        let network = Lengths::NEIGHBOURS.of(ip);
        *self.neighbours.entry(network).or_default() += 1;
    }

    /// Counts one more of `ip`.
    fn enter(&mut self, ip: IpAddr, now: Moment) -> Result<Visit, Reason> {
        if self.bans.hold(ip, now) {
            return Err(Reason::Penalty);
        }
        if self.terms.are_ruled && self.neighbours.try_reserve(1).is_err() {
            return Err(Reason::Error);
        }
        let (terms, table) = self.of(ip);
        let at = table.place(terms.lengths.of(ip), &terms.penalties, now);
        let at = at.ok_or(Reason::Error)?;
        let source = table.source(at);
        let refusal = source.refusal(terms, ip, now);
        if refusal.is_none() {
            source.open += 1;
            if let Some(rate) = terms.rate {
                source.bucket.take(rate, now);
            }
        } else {
            source.refused = source.refused.saturating_add(1);
        }
        let (rank, paid) = (source.open, terms.rate);
        table.rest(at);
        if let Some(reason) = refusal {
            return Err(reason);
        }
        if self.terms.are_ruled {
            self.count_neighbour(ip);
        }
        Ok(Visit {
            ip,
            place: at,
            rank,
            neighbours_rank: self.neighbours(ip),
            paid,
        })
    }

    fn hold(&mut self, visit: &Visit, allowance: &Allowance, now: Moment) -> Result<(), Reason> {
        // Those that came before and are still there: of many that come at once, the first ones get in.
        let neighbours = visit.neighbours_rank.min(self.neighbours(visit.ip));
        let (_, table) = self.of(visit.ip);
        let source = table.source(visit.place);
        let open = visit.rank.min(source.open);
        let is_above = |limit: Option<u32>, open| limit.is_some_and(|limit| open > limit);
        let must_wait = |rate| !source.ruled_bucket.wait(rate, now).is_zero();
        let refusal =
            if is_above(allowance.open, open) || is_above(allowance.neighbours, neighbours) {
                Err(Reason::Limit)
            } else if allowance.rate.is_some_and(must_wait) {
                Err(Reason::Rate)
            } else {
                Ok(())
            };
        match (refusal, allowance.rate) {
            (Err(_), _) => source.refused = source.refused.saturating_add(1),
            (Ok(()), Some(rate)) => source.ruled_bucket.take(rate, now),
            (Ok(()), None) => {}
        }
        refusal
    }

    fn serve(&mut self, visit: &mut Visit) {
        visit.paid = None;
        let (_, table) = self.of(visit.ip);
        let source = table.source(visit.place);
        source.entered = source.entered.saturating_add(1);
    }

    fn leave(&mut self, visit: &Visit, now: Moment) {
        let (terms, table) = self.of(visit.ip);
        let source = table.source(visit.place);
        source.open -= 1;
        if let Some(rate) = visit.paid {
            source.bucket.put_back(rate);
        }
        let forget = |burden: &mut Box<Burden>| burden.is_forgotten(&terms.penalties, now);
        source.burden.take_if(forget);
        table.rest(visit.place);
        let network = Lengths::NEIGHBOURS.of(visit.ip);
        if let Some(open) = self.neighbours.get_mut(&network) {
            *open -= 1;
            if *open == 0 {
                self.neighbours.remove(&network);
            }
        }
    }

    /// How many connections of the network of `ip` are open.
    fn neighbours(&self, ip: IpAddr) -> u32 {
        let open = self.neighbours.get(&Lengths::NEIGHBOURS.of(ip));
        open.copied().unwrap_or_default()
    }

    fn punish(&mut self, visit: &Visit, end: End, now: Moment) {
        let (terms, table) = self.of(visit.ip);
        let penalties = &terms.penalties;
        if penalties.punish(end) && !penalties.spare(visit.ip) {
            let burden = &mut table.source(visit.place).burden;
            let burden = burden.get_or_insert_with(|| Burden::none(penalties, now).into());
            burden.add(penalties, end, now);
        }
    }

    fn unban(&mut self, prefix: IpNet, now: Moment) -> bool {
        let mut was_there = self.bans.remove(prefix, now);
        let (_, table) = self.of(prefix.addr());
        for at in 0..table.sources.len() {
            let source = table.source(at);
            if prefix.contains(&source.prefix) && source.burden.take().is_some() {
                was_there = true;
                table.rest(at);
            }
        }
        was_there
    }

    fn top(&self, count: usize, now: Moment) -> Vec<Seen> {
        let penalties = &self.terms.penalties;
        let all = self.v4.sources.iter().chain(&self.v6.sources);
        let mut seen: Vec<Seen> = all.map(|source| source.seen(penalties, now)).collect();
        let order = |a: &Seen, b: &Seen| {
            let often = |seen: &Seen| (seen.refused, seen.entered);
            let by_open = b.open.cmp(&a.open);
            let by_penalty = b.penalty.total_cmp(&a.penalty);
            by_open.then(by_penalty).then(often(b).cmp(&often(a)))
        };
        if seen.len() > count {
            seen.select_nth_unstable_by(count, order);
            seen.truncate(count);
        }
        seen.sort_by(order);
        seen
    }
}

/// The sources of one family.
#[derive(Debug)]
struct Table {
    capacity: usize,
    index: HashMap<IpNet, Place>,
    /// Never fewer: who goes makes room for who comes.
    sources: Vec<Source>,
    /// Those without an open connection, the ones that were seen last first.
    resting: [Queue; 2],
}

/// One source.
#[derive(Debug)]
struct Source {
    prefix: IpNet,
    open: u32,
    entered: u32,
    refused: u32,
    bucket: Bucket,
    /// For the rate that a rule allows.
    ruled_bucket: Bucket,
    burden: Option<Box<Burden>>,
    /// The queue of `Table::resting` in which it stands, and those before and behind it there.
    queue: Option<bool>,
    before: Place,
    behind: Place,
}

impl Source {
    fn new(prefix: IpNet) -> Self {
        Self {
            prefix,
            open: 0,
            entered: 0,
            refused: 0,
            bucket: Bucket::default(),
            ruled_bucket: Bucket::default(),
            burden: None,
            queue: None,
            before: NOBODY,
            behind: NOBODY,
        }
    }

    fn pack(&self, to: &mut Packer) {
        to.text(self.prefix);
        to.number(self.entered);
        to.number(self.refused);
        self.bucket.pack(to);
        self.ruled_bucket.pack(to);
        to.maybe(self.burden.as_ref(), |to, burden| burden.pack(to));
    }

    fn unpack(from: &mut Unpacker<'_>, penalties: &Penalties) -> Option<Self> {
        let mut source = Self::new(from.text()?);
        source.entered = from.number()?;
        source.refused = from.number()?;
        source.bucket = Bucket::unpack(from)?;
        source.ruled_bucket = Bucket::unpack(from)?;
        let burden = from.maybe(|from| Burden::unpack(from, penalties))?;
        source.burden = burden.flatten().map(Box::new);
        Some(source)
    }

    fn penalty(&self, penalties: &Penalties, now: Moment) -> f64 {
        let burden = self.burden.as_ref();
        burden.map_or(0.0, |burden| burden.left(penalties, now))
    }

    /// Why it may not have one more connection, from `ip`.
    fn refusal(&self, terms: &Terms, ip: IpAddr, now: Moment) -> Option<Reason> {
        let Terms {
            limit,
            rate,
            penalties,
            ..
        } = terms;
        if self.penalty(penalties, now) > penalties.threshold.as_secs_f64() && !penalties.spare(ip)
        {
            return Some(Reason::Penalty);
        }
        if limit.is_some_and(|limit| self.open >= limit) {
            return Some(Reason::Limit);
        }
        let must_wait = |rate| !self.bucket.wait(rate, now).is_zero();
        rate.is_some_and(must_wait).then_some(Reason::Rate)
    }

    fn seen(&self, penalties: &Penalties, now: Moment) -> Seen {
        Seen {
            prefix: self.prefix,
            open: self.open,
            entered: self.entered,
            refused: self.refused,
            penalty: self.penalty(penalties, now),
        }
    }
}

/// A queue of sources, linked by their places; the first one has rested longest.
#[derive(Clone, Copy, Debug)]
struct Queue {
    first: Place,
    last: Place,
}

/// The place of no source.
const NOBODY: Place = Place::MAX;

impl Table {
    fn new(capacity: usize) -> Self {
        let empty = Queue {
            first: NOBODY,
            last: NOBODY,
        };
        Self {
            capacity,
            index: HashMap::new(),
            sources: Vec::new(),
            resting: [empty; 2],
        }
    }

    fn source(&mut self, at: Place) -> &mut Source {
        &mut self.sources[at]
    }

    /// The place of the source `prefix`, which is made if it is not known, in the place of the least interesting one if
    /// there is no room. `None`: no memory.
    fn place(&mut self, prefix: IpNet, penalties: &Penalties, now: Moment) -> Option<Place> {
        if let Some(&at) = self.index.get(&prefix) {
            return Some(at);
        }
        let has_room = self.sources.len() < self.capacity && self.grows();
        let least = if has_room {
            None
        } else {
            self.least(penalties, now)
        };
        let at = match least {
            Some(at) => {
                self.unlink(at);
                let gone = std::mem::replace(self.source(at), Source::new(prefix));
                self.index.remove(&gone.prefix);
                at
            }
            // All have open connections.
            None if has_room || self.grows() => {
                self.sources.push(Source::new(prefix));
                self.sources.len() - 1
            }
            None => return None,
        };
        self.index.insert(prefix, at);
        Some(at)
    }

    /// The places of all, the least interesting one first.
    fn by_interest(&self) -> Vec<Place> {
        let mut all = Vec::with_capacity(self.sources.len());
        for queue in self.resting {
            let mut at = queue.first;
            while at != NOBODY {
                all.push(at);
                at = self.sources[at].behind;
            }
        }
        let is_busy = |&at: &Place| self.sources[at].queue.is_none();
        all.extend((0..self.sources.len()).filter(is_busy));
        all
    }

    /// True when there is memory for one more.
    fn grows(&mut self) -> bool {
        self.sources.try_reserve(1).is_ok() && self.index.try_reserve(1).is_ok()
    }

    /// The least interesting source.
    fn least(&self, penalties: &Penalties, now: Moment) -> Option<Place> {
        let [plain, burdened] = self.resting.map(|queue| queue.first);
        let is_forgotten = |at: Place| {
            let burden = self.sources[at].burden.as_ref();
            burden.is_none_or(|burden| burden.is_forgotten(penalties, now))
        };
        let is_burdened_less = burdened != NOBODY && is_forgotten(burdened);
        let least = if plain == NOBODY || is_burdened_less {
            burdened
        } else {
            plain
        };
        (least != NOBODY).then_some(least)
    }

    /// Puts the source at `at` where it belongs: at the end of its queue, or in none while it has open connections.
    fn rest(&mut self, at: Place) {
        self.unlink(at);
        let source = self.source(at);
        if source.open > 0 {
            return;
        }
        let is_burdened = source.burden.is_some();
        let last = std::mem::replace(&mut self.resting[usize::from(is_burdened)].last, at);
        let source = self.source(at);
        source.queue = Some(is_burdened);
        (source.before, source.behind) = (last, NOBODY);
        match last {
            NOBODY => self.resting[usize::from(is_burdened)].first = at,
            last => self.source(last).behind = at,
        }
    }

    fn unlink(&mut self, at: Place) {
        let source = self.source(at);
        let (before, behind) = (source.before, source.behind);
        let Some(queue) = source.queue.take() else {
            return;
        };
        let queue = usize::from(queue);
        match before {
            NOBODY => self.resting[queue].first = behind,
            before => self.source(before).behind = behind,
        }
        match behind {
            NOBODY => self.resting[queue].last = before,
            behind => self.source(behind).before = before,
        }
    }
}

/// Prefixes that may not connect, each until its moment.
#[derive(Debug, Default)]
struct Bans {
    until: HashMap<IpNet, Moment>,
    /// How many there are of each length, by family: so many places are looked at.
    lengths: BTreeMap<(bool, u8), u32>,
}

/// So many bans can be on.
const BANS_MAX: usize = 4096;

impl Bans {
    fn add(&mut self, prefix: IpNet, time: Duration, now: Moment) -> bool {
        if self.until.len() >= BANS_MAX {
            let over = |(&prefix, &until): (&IpNet, &Moment)| (until <= now).then_some(prefix);
            let over: Vec<IpNet> = self.until.iter().filter_map(over).collect();
            for prefix in over {
                self.remove(prefix, now);
            }
        }
        if self.until.len() >= BANS_MAX && !self.until.contains_key(&prefix) {
            return false;
        }
        if self.until.insert(prefix, now.plus(time)).is_none() {
            *self.lengths.entry(kind(prefix)).or_default() += 1;
        }
        true
    }

    /// Gives true when the ban was on.
    fn remove(&mut self, prefix: IpNet, now: Moment) -> bool {
        let Some(until) = self.until.remove(&prefix) else {
            return false;
        };
        if let Some(count) = self.lengths.get_mut(&kind(prefix)) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&kind(prefix));
            }
        }
        now < until
    }

    fn hold(&self, ip: IpAddr, now: Moment) -> bool {
        let is_v4 = ip.is_ipv4();
        let mut lengths = self.lengths.range((is_v4, 0)..=(is_v4, u8::MAX));
        lengths.any(|(&(_, length), _)| {
            let prefix = IpNet::new(ip, length).map(|prefix| prefix.trunc());
            let until = prefix.ok().and_then(|prefix| self.until.get(&prefix));
            until.is_some_and(|&until| now < until)
        })
    }

    fn list(&self, now: Moment) -> Vec<Ban> {
        let on = self.until.iter().filter(|&(_, &until)| now < until);
        let mut list: Vec<Ban> = on
            .map(|(&prefix, until)| Ban {
                prefix,
                left: until.since(now),
            })
            .collect();
        list.sort_by_key(|ban| ban.prefix);
        list
    }
}

fn kind(prefix: IpNet) -> (bool, u8) {
    (prefix.addr().is_ipv4(), prefix.prefix_len())
}

#[cfg(test)]
mod model;
