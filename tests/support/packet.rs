//! DNS packets, made byte by byte, also such as nobody should make. RFC 1035 section 4.

use std::net::Ipv4Addr;

pub(crate) const A: u16 = 1;
pub(crate) const CNAME: u16 = 5;
pub(crate) const SOA: u16 = 6;
pub(crate) const PTR: u16 = 12;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;

/// Internet, and Chaosnet.
const IN: u16 = 1;
pub(crate) const CH: u16 = 3;

pub(crate) const SERVFAIL: u16 = 2;
pub(crate) const NXDOMAIN: u16 = 3;
pub(crate) const REFUSED: u16 = 5;

/// QR, RD and RA: what a recursive server sets in an answer.
const ANSWER: u16 = 0x8180;
const QUESTION_BIT: u16 = 0x8000;
const TRUNCATED: u16 = 0x0200;
const HEADER_BYTES: usize = 12;
/// A pointer to the name of the question.
pub(crate) const SAME_NAME: [u8; 2] = [0xc0, 12];

/// A question that came.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) id: u16,
    /// Lower case, labels joined by dots.
    pub(crate) name: String,
    pub(crate) kind: u16,
    pub(crate) over_tcp: bool,
    /// The question section.
    section: Vec<u8>,
}

impl Question {
    pub(crate) fn read(packet: &[u8], over_tcp: bool) -> Option<Self> {
        let mut at = HEADER_BYTES;
        let mut labels = Vec::new();
        loop {
            let length = usize::from(*packet.get(at)?);
            let label = packet.get(at + 1..at + 1 + length)?;
            at += 1 + length;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        }
        Some(Self {
            id: u16::from_be_bytes([packet[0], packet[1]]),
            name: labels.join("."),
            kind: u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]),
            over_tcp,
            section: packet.get(HEADER_BYTES..at + 4)?.to_vec(),
        })
    }

    /// `PTR 1.0.0.127.in-addr.arpa`.
    pub(crate) fn text(&self) -> String {
        let kind = match self.kind {
            A => "A",
            PTR => "PTR",
            TXT => "TXT",
            AAAA => "AAAA",
            _ => "other",
        };
        let over = if self.over_tcp { " over TCP" } else { "" };
        format!("{kind} {}{over}", self.name)
    }

    /// An answer to it, so far an empty one.
    pub(crate) fn reply(&self) -> Reply {
        Reply {
            id: self.id,
            flags: ANSWER,
            question: self.section.clone(),
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
        }
    }
}

/// A packet being made.
#[derive(Clone)]
pub(crate) struct Reply {
    id: u16,
    flags: u16,
    question: Vec<u8>,
    answers: Vec<Vec<u8>>,
    authorities: Vec<Vec<u8>>,
    additionals: Vec<Vec<u8>>,
}

impl Reply {
    pub(crate) fn code(mut self, code: u16) -> Self {
        self.flags |= code;
        self
    }

    pub(crate) fn truncated(mut self) -> Self {
        self.flags |= TRUNCATED;
        self
    }

    /// Looks like a question, but for its answers.
    pub(crate) fn no_response(mut self) -> Self {
        self.flags &= !QUESTION_BIT;
        self
    }

    pub(crate) fn other_id(mut self) -> Self {
        self.id ^= 0x0101;
        self
    }

    pub(crate) fn other_question(mut self) -> Self {
        self.question = [&name("else.test")[..], &[0, 1, 0, 1]].concat();
        self
    }

    /// A record of the question's name.
    pub(crate) fn with(self, kind: u16, ttl: u32, data: &[u8]) -> Self {
        self.with_of(&SAME_NAME, kind, ttl, data)
    }

    pub(crate) fn with_of(self, owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Self {
        self.with_record(record(owner, kind, IN, ttl, data))
    }

    /// A record of the question's name, of another class.
    pub(crate) fn with_class(self, class: u16, kind: u16, data: &[u8]) -> Self {
        self.with_record(record(&SAME_NAME, kind, class, 60, data))
    }

    /// A record of any bytes.
    pub(crate) fn with_record(mut self, record: impl Into<Vec<u8>>) -> Self {
        self.answers.push(record.into());
        self
    }

    pub(crate) fn authority(mut self, owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Self {
        self.authorities.push(record(owner, kind, IN, ttl, data));
        self
    }

    /// A record of any bytes in the additional section.
    pub(crate) fn additional(mut self, record: impl Into<Vec<u8>>) -> Self {
        self.additionals.push(record.into());
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let count = |records: &[Vec<u8>]| u16::try_from(records.len()).expect("a few records");
        let header = [
            self.id,
            self.flags,
            1,
            count(&self.answers),
            count(&self.authorities),
            count(&self.additionals),
        ];
        let mut packet: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
        packet.extend_from_slice(&self.question);
        let sections = [&self.answers, &self.authorities, &self.additionals];
        packet.extend(sections.into_iter().flatten().flatten());
        packet
    }

    /// Has no answer record.
    pub(crate) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Where the first answer record starts.
    pub(crate) fn answers_at(&self) -> usize {
        HEADER_BYTES + self.question.len()
    }
}

fn record(owner: &[u8], kind: u16, class: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("a record is not longer");
    [
        owner,
        &kind.to_be_bytes(),
        &class.to_be_bytes(),
        &ttl.to_be_bytes(),
        &length.to_be_bytes(),
        data,
    ]
    .concat()
}

/// `a.b` on the wire.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let all: Vec<&[u8]> = text
        .split('.')
        .filter(|label| !label.is_empty())
        .map(str::as_bytes)
        .collect();
    labels(&all)
}

/// A name of any labels on the wire.
pub(crate) fn labels(labels: &[&[u8]]) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in labels {
        wire.push(u8::try_from(label.len()).expect("a label is short"));
        wire.extend_from_slice(label);
    }
    wire.push(0);
    wire
}

/// The data of a TXT record that holds all of `text`, in strings of 255 bytes.
pub(crate) fn strings(text: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    for string in text.chunks(255) {
        data.push(u8::try_from(string.len()).expect("chunks are that short"));
        data.extend_from_slice(string);
    }
    data
}

/// The name under which the name of `ip` is found.
pub(crate) fn reverse(ip: Ipv4Addr) -> String {
    let [a, b, c, d] = ip.octets();
    format!("{d}.{c}.{b}.{a}.in-addr.arpa")
}
