//! One question and what a packet says about it: pure, and bounded whatever comes.
//!
//! A packet is read no further than the question needs. Header and question say whether it is an answer to ours; then
//! come the records of the answer section, in order and once, until there are enough. What is of another type or class
//! is stepped over unread, and of what follows the answer section only the time for which "there is nothing" holds is
//! looked for. So odd records that nobody asked for cost nothing, and an answer of any size costs little: what lies
//! beyond the bounds at the top of this file is not there.
//!
//! Source: RFC 1035 section 4, RFC 2181 sections 8 and 10, RFC 2308 section 5; what the original reads, observed runs.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use super::name::{self, Name};
use crate::sys::errno;

/// How much of an answer is read, in bytes: many times of what a host's names or addresses need.
pub(super) const ANSWER_BYTES: usize = 4096;
/// The same of an answer with texts: a whole packet.
const TEXTS_BYTES: usize = u16::MAX as usize;
/// How many records are kept.
const RECORDS_MAX: usize = 16;
/// How many aliases may lead from a name to its records.
const ALIASES_MAX: usize = 16;
/// How many records are looked at, of whatever kind.
const LOOKS_MAX: usize = 128;

/// What is remembered is remembered at most so long.
const TTL_MAX: Duration = Duration::from_secs(3600);
/// The same for "there is nothing", and for how long when the answer does not say. RFC 2308 section 5.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(300);
const NEGATIVE_TTL: Duration = Duration::from_secs(10);

/// RFC 1035 section 4.1.1.
const HEADER_BYTES: usize = 12;
const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const CODE: u16 = 0x000f;
const NO_ERROR: u16 = 0;
const NO_SUCH_NAME: u16 = 3;
/// RFC 1035 sections 3.2.2 and 3.2.4.
const CNAME: u16 = 5;
const SOA: u16 = 6;
const IN: u16 = 1;
/// Two names of one byte at least, and five numbers, of which the last counts. RFC 1035 section 3.3.13.
const SOA_BYTES_MIN: usize = 22;

/// Which records are wanted, by their number on the wire. RFC 1035 section 3.2.2, RFC 3596 section 2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// IPv4 addresses.
    A = 1,
    /// The name of an address.
    Ptr = 12,
    /// Texts.
    Txt = 16,
    /// IPv6 addresses.
    Aaaa = 28,
}

impl Kind {
    /// How many records of this kind are used.
    fn most(self) -> usize {
        match self {
            Self::Ptr => 1,
            Self::A | Self::Txt | Self::Aaaa => RECORDS_MAX,
        }
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) kind: Kind,
}

/// What a record says, as far as it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Of A and AAAA records.
    Address(IpAddr),
    /// The name of a PTR record as text, or the strings of a TXT record, joined.
    Text(Box<[u8]>),
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The records of the name, or of the one that its aliases lead to, in the order of the packet and 16 at most; of
    /// names only the first. None is word that there are none. And for how long that holds.
    Answer(Vec<Record>, Duration),
    /// The answer is too long for a datagram.
    Truncated,
}

impl Question {
    /// The packet that asks it under `id`.
    pub(super) fn packet(&self, id: u16) -> Vec<u8> {
        let header = [id, RECURSION_DESIRED, 1, 0, 0, 0];
        let mut packet: Vec<u8> = header.into_iter().flat_map(u16::to_be_bytes).collect();
        packet.extend_from_slice(self.name.wire());
        packet.extend((self.kind as u16).to_be_bytes());
        packet.extend(IN.to_be_bytes());
        packet
    }

    /// How many bytes of an answer are read.
    pub(super) fn answer_bytes(&self) -> usize {
        match self.kind {
            Kind::Txt => TEXTS_BYTES,
            Kind::A | Kind::Ptr | Kind::Aaaa => ANSWER_BYTES,
        }
    }

    /// What `packet` says, if it is an answer to this question under `id`. With `is_cut` there was more of it, which was
    /// not read.
    ///
    /// # Errors
    /// The server cannot help: it says so (EAGAIN), or its answer cannot be read as far as the question needs (EPROTO).
    pub(super) fn read(&self, packet: &[u8], id: u16, is_cut: bool) -> Option<io::Result<Reply>> {
        let mut reader = Reader { packet, at: 0 };
        if reader.number()? != id {
            return None;
        }
        let flags = reader.number()?;
        let [questions, answers, authorities] =
            [reader.number()?, reader.number()?, reader.number()?];
        if flags & (RESPONSE | OPCODE) != RESPONSE || questions != 1 {
            return None;
        }
        if Name::read(packet, HEADER_BYTES)? != self.name {
            return None;
        }
        reader.at = Name::end(packet, HEADER_BYTES)?;
        if [reader.number()?, reader.number()?] != [self.kind as u16, IN] {
            return None;
        }
        Some(match flags & CODE {
            NO_ERROR | NO_SUCH_NAME if flags & TRUNCATED != 0 => Ok(Reply::Truncated),
            NO_ERROR | NO_SUCH_NAME => self.answer(reader, [answers, authorities], is_cut),
            _ => Err(io::Error::from_raw_os_error(errno::EAGAIN)),
        })
    }

    /// What the sections behind the question say, which have so many records.
    fn answer(
        &self,
        mut reader: Reader<'_>,
        [answers, authorities]: [u16; 2],
        is_cut: bool,
    ) -> io::Result<Reply> {
        let unreadable = || io::Error::from_raw_os_error(errno::EPROTO);
        let mut found = Found::nothing(self);
        let mut looks = 0..LOOKS_MAX;
        for _ in looks.by_ref().take(answers.into()) {
            match found.look(&mut reader) {
                Some(()) if found.is_enough() => return Ok(found.reply()),
                Some(()) => {}
                None if is_cut => return Ok(found.reply()),
                None => return Err(unreadable()),
            }
        }
        if !found.is_something() {
            if found.is_spoilt {
                return Err(unreadable());
            }
            let mut zone = looks
                .take(authorities.into())
                .map_while(|_| reader.record());
            let stated = zone.find_map(|record| record.negative_ttl());
            let ttl = stated.unwrap_or(NEGATIVE_TTL).min(NEGATIVE_TTL_MAX);
            found.ttl = found.ttl.min(ttl);
        }
        Ok(found.reply())
    }
}

/// What has been found in the answer section so far.
struct Found {
    kind: Kind,
    /// The name whose records count: that of the question, or where its aliases lead.
    owner: Name,
    /// How many aliases have been read.
    aliases: usize,
    /// Those that nothing has led to so far: an alias may come before the one that leads to it, and after its records.
    pending: Vec<(Name, Name, Duration)>,
    /// The records of the kind, whosoever they are.
    records: Vec<(Name, Record, Duration)>,
    /// There was an address of a wrong length.
    is_spoilt: bool,
    /// For how long all that has led here holds.
    ttl: Duration,
}

impl Found {
    fn nothing(question: &Question) -> Self {
        Self {
            kind: question.kind,
            owner: question.name.clone(),
            aliases: 0,
            pending: Vec::new(),
            records: Vec::new(),
            is_spoilt: false,
            ttl: TTL_MAX,
        }
    }

    /// Looks at the next record; `None` if it matters and cannot be read.
    fn look(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let record = reader.record()?;
        if record.class != IN {
            return Some(());
        }
        if record.kind == CNAME && self.aliases < ALIASES_MAX {
            self.aliases += 1;
            self.pending
                .push((record.owner()?, record.name()?, record.ttl));
            self.follow();
        } else if record.kind == self.kind as u16 {
            match record.content(self.kind)? {
                Some(content) => self.records.push((record.owner()?, content, record.ttl)),
                None => self.is_spoilt = true,
            }
        }
        Some(())
    }

    /// Goes on to where the aliases lead. Each is followed once, so a circle has an end.
    fn follow(&mut self) {
        while let Some(next) = self.pending.iter().position(|alias| alias.0 == self.owner) {
            let (_, target, ttl) = self.pending.swap_remove(next);
            self.owner = target;
            self.ttl = self.ttl.min(ttl);
        }
    }

    fn is_enough(&self) -> bool {
        let of_owner = self.records.iter().filter(|record| record.0 == self.owner);
        self.records.len() == RECORDS_MAX || of_owner.count() >= self.kind.most()
    }

    fn is_something(&self) -> bool {
        self.records.iter().any(|record| record.0 == self.owner)
    }

    fn reply(self) -> Reply {
        let mut ttl = self.ttl;
        let mut records = Vec::new();
        let of_owner = self
            .records
            .into_iter()
            .filter(|record| record.0 == self.owner);
        for (_, record, record_ttl) in of_owner.take(self.kind.most()) {
            ttl = ttl.min(record_ttl);
            records.push(record);
        }
        Reply::Answer(records, ttl)
    }
}

/// Reads a packet from the front.
struct Reader<'a> {
    packet: &'a [u8],
    at: usize,
}

/// A record, whose name and content are not read yet. RFC 1035 section 3.2.1.
struct Raw<'a> {
    packet: &'a [u8],
    starts_at: usize,
    kind: u16,
    class: u16,
    ttl: Duration,
    content_at: usize,
    length: usize,
}

impl<'a> Reader<'a> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.packet.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(*bytes)
    }

    fn number(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_be_bytes)
    }

    /// The next record. Whether all of its content is there is not looked at.
    fn record(&mut self) -> Option<Raw<'a>> {
        let starts_at = self.at;
        self.at = Name::end(self.packet, starts_at)?;
        let (kind, class) = (self.number()?, self.number()?);
        let ttl = lifetime(u32::from_be_bytes(self.bytes()?));
        let length = self.number()?.into();
        let content_at = self.at;
        self.at += length;
        Some(Raw {
            packet: self.packet,
            starts_at,
            kind,
            class,
            ttl,
            content_at,
            length,
        })
    }
}

impl Raw<'_> {
    fn owner(&self) -> Option<Name> {
        Name::read(self.packet, self.starts_at)
    }

    /// Its content, if all of it is there.
    fn bytes(&self) -> Option<&[u8]> {
        self.packet
            .get(self.content_at..self.content_at + self.length)
    }

    /// Its content as a name, which must not be longer than that.
    fn name(&self) -> Option<Name> {
        Name::end(self.packet, self.content_at)
            .filter(|&end| end <= self.content_at + self.length)?;
        Name::read(self.packet, self.content_at)
    }

    /// Its content as a record of `kind`. An address of a wrong length is none, as in the original; what cannot be read
    /// at all is the outer `None`.
    fn content(&self, kind: Kind) -> Option<Option<Record>> {
        let address = |ip: Option<IpAddr>| Some(ip.map(Record::Address));
        match kind {
            Kind::A => {
                let octets: Option<[u8; 4]> = self.bytes()?.try_into().ok();
                address(octets.map(IpAddr::from))
            }
            Kind::Aaaa => {
                let octets: Option<[u8; 16]> = self.bytes()?.try_into().ok();
                address(octets.map(IpAddr::from))
            }
            Kind::Ptr => Some(Some(Record::Text(name::text(&self.name()?).into()))),
            Kind::Txt => Some(Some(Record::Text(joined(self.bytes()?)?.into()))),
        }
    }

    /// How long "there is nothing" may be remembered, if this record says so. RFC 2308 section 5.
    fn negative_ttl(&self) -> Option<Duration> {
        let bytes = self
            .bytes()
            .filter(|bytes| self.kind == SOA && self.class == IN && bytes.len() >= SOA_BYTES_MIN)?;
        let minimum = u32::from_be_bytes(*bytes.last_chunk()?);
        Some(self.ttl.min(lifetime(minimum)))
    }
}

/// The strings of a text, each behind its length, joined. RFC 1035 section 3.3.14.
fn joined(mut strings: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(strings.len());
    while let Some((&length, rest)) = strings.split_first() {
        let (string, rest) = rest.split_at_checked(length.into())?;
        text.extend_from_slice(string);
        strings = rest;
    }
    Some(text)
}

/// A time to live; one with the top bit set is none. RFC 2181 section 8.
fn lifetime(ttl: u32) -> Duration {
    Duration::from_secs(if ttl >> 31 == 1 { 0 } else { ttl.into() })
}

#[cfg(test)]
mod tests {
    use super::super::name::{self, Name};
    use super::{CNAME, Kind, Question, Record, Reply};

    const ID: u16 = 7;

    fn question(kind: Kind) -> Question {
        let name = name::parse(b"a.test").unwrap();
        Question { name, kind }
    }

    fn wire(name: &str) -> Vec<u8> {
        name::parse(name.as_bytes()).unwrap().wire().to_vec()
    }

    fn record(owner: &str, kind: u16, data: &[u8]) -> Vec<u8> {
        let [kind, class] = [kind, 1].map(u16::to_be_bytes);
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        [
            &wire(owner),
            &kind[..],
            &class,
            &[0, 0, 0, 60],
            &length,
            data,
        ]
        .concat()
    }

    /// What the texts of the reply are, or its errno, when the answer section has these records and `more` that are not
    /// there.
    fn read(
        kind: Kind,
        records: &[Vec<u8>],
        more: usize,
        is_cut: bool,
    ) -> Result<Vec<String>, i32> {
        let question = question(kind);
        let mut packet = question.packet(ID);
        packet[2] |= 0x80;
        packet[7] = u8::try_from(records.len() + more).unwrap();
        packet.extend(records.concat());
        match question.read(&packet, ID, is_cut).expect("it is an answer") {
            Ok(Reply::Answer(records, _)) => Ok(records.iter().map(text).collect()),
            Ok(Reply::Truncated) => panic!("nothing says that it is"),
            Err(error) => Err(error.raw_os_error().unwrap()),
        }
    }

    fn text(record: &Record) -> String {
        match record {
            Record::Address(address) => address.to_string(),
            Record::Text(text) => String::from_utf8_lossy(text).into_owned(),
        }
    }

    fn texts(texts: &[&str]) -> Result<Vec<String>, i32> {
        Ok(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn question_is_written_as_it_is_asked() {
        let packet = question(Kind::Ptr).packet(0x1234);
        let expected = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x0c\0\x01";
        assert_eq!(packet, expected);
        assert_eq!(Name::read(&packet, 12), Some(question(Kind::Ptr).name));
    }

    #[test]
    fn records_may_come_in_any_order() {
        let there = record("c.test", Kind::A as u16, &[127, 0, 0, 1]);
        let other = record("d.test", Kind::A as u16, &[127, 0, 0, 9]);
        let first = record("a.test", CNAME, &wire("b.test"));
        let second = record("b.test", CNAME, &wire("c.test"));
        for order in [
            [&first, &second, &there, &other],
            [&there, &other, &second, &first],
            [&second, &there, &first, &other],
        ] {
            let records = order.map(Clone::clone);
            assert_eq!(read(Kind::A, &records, 0, false), texts(&["127.0.0.1"]));
        }
    }

    #[test]
    fn first_name_counts_wherever_its_alias_stands() {
        let one = record("b.test", Kind::Ptr as u16, &wire("one.test"));
        let two = record("b.test", Kind::Ptr as u16, &wire("two.test"));
        let alias = record("a.test", CNAME, &wire("b.test"));
        for records in [[&one, &two, &alias], [&alias, &one, &two]] {
            let records = records.map(Clone::clone);
            assert_eq!(read(Kind::Ptr, &records, 0, false), texts(&["one.test"]));
        }
    }

    #[test]
    fn address_of_a_wrong_length_is_passed_over_unless_it_is_all_there_is() {
        let right = record("a.test", Kind::A as u16, &[127, 0, 0, 1]);
        for length in [0, 3, 5, 16] {
            let wrong = record("a.test", Kind::A as u16, &vec![1; length]);
            let both = [wrong.clone(), right.clone()];
            assert_eq!(read(Kind::A, &both, 0, false), texts(&["127.0.0.1"]));
            assert_eq!(
                read(Kind::A, &[wrong], 0, false),
                Err(crate::sys::errno::EPROTO)
            );
        }
    }

    #[test]
    fn name_must_lie_within_its_record() {
        let mut short = record("a.test", Kind::Ptr as u16, &wire("there.test"));
        let length = short.len() - wire("there.test").len() - 1;
        short[length] -= 1;
        assert_eq!(
            read(Kind::Ptr, &[short], 0, false),
            Err(crate::sys::errno::EPROTO)
        );
    }

    #[test]
    fn strings_must_fill_their_record() {
        for (data, expected) in [
            (&b""[..], texts(&[""])),
            (b"\x02ab\0\x01c", texts(&["abc"])),
            (b"\x03ab", Err(crate::sys::errno::EPROTO)),
        ] {
            let records = [record("a.test", Kind::Txt as u16, data)];
            assert_eq!(read(Kind::Txt, &records, 0, false), expected, "{data:?}");
        }
    }

    #[test]
    fn missing_records_are_a_failure_unless_they_were_not_read() {
        let there = [record("a.test", Kind::A as u16, &[127, 0, 0, 1])];
        assert_eq!(
            read(Kind::A, &there, 1, false),
            Err(crate::sys::errno::EPROTO)
        );
        assert_eq!(read(Kind::A, &there, 1, true), texts(&["127.0.0.1"]));
    }
}
