//! Our reader of packets beside that of hickory-proto, which writes what is read here.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, PTR, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use proptest::collection::vec;
use proptest::prelude::*;

use super::foreign;

const KINDS: [RecordType; 4] = [
    RecordType::A,
    RecordType::PTR,
    RecordType::TXT,
    RecordType::AAAA,
];
/// As many as are read.
const RECORDS_MAX: usize = 16;

fn name() -> impl Strategy<Value = Name> {
    vec("[a-z0-9_-]{1,63}", 1..4)
        .prop_map(|labels| Name::from_labels(labels.iter().map(String::as_bytes)).unwrap())
}

fn content() -> impl Strategy<Value = RData> {
    prop_oneof![
        any::<u32>().prop_map(|ip| RData::A(A(Ipv4Addr::from(ip)))),
        any::<u128>().prop_map(|ip| RData::AAAA(AAAA(Ipv6Addr::from(ip)))),
        name().prop_map(|name| RData::PTR(PTR(name))),
        vec("[ -~]{0,60}", 1..4).prop_map(|texts| RData::TXT(TXT::new(texts))),
    ]
}

/// As a resolver is asked for it. Nothing in these labels has to be escaped.
fn text(name: &Name) -> Vec<u8> {
    name.iter().collect::<Vec<_>>().join(&b'.')
}

/// As our reader gives it.
fn shown(content: &RData) -> Vec<u8> {
    match content {
        RData::PTR(name) => text(&name.0),
        RData::TXT(text) => text.txt_data.concat(),
        content => content.to_string().into_bytes(),
    }
}

proptest! {
    /// Aliases in order, records of all kinds of the last one, and records of somebody else between them.
    #[test]
    fn what_hickory_writes_is_read_as_it_was_meant(
        aliases in vec(name(), 1..4),
        contents in vec(content(), 0..RECORDS_MAX),
        other in (name(), content()),
        kind in 0..KINDS.len(),
    ) {
        let kind = KINDS[kind];
        prop_assume!(!aliases.contains(&other.0));
        let distinct = aliases.iter().collect::<std::collections::HashSet<_>>().len();
        prop_assume!(distinct == aliases.len());
        let (first, owner) = (&aliases[0], &aliases[aliases.len() - 1]);
        let mut message = Message::new(0, MessageType::Response, OpCode::Query);
        message.metadata.response_code = ResponseCode::NoError;
        message.queries.push(Query::query(first.clone(), kind));
        for pair in aliases.windows(2) {
            let alias = RData::CNAME(CNAME(pair[1].clone()));
            message.answers.push(Record::from_rdata(pair[0].clone(), 60, alias));
        }
        message.answers.push(Record::from_rdata(other.0, 60, other.1));
        for content in &contents {
            message.answers.push(Record::from_rdata(owner.clone(), 60, content.clone()));
        }
        let packet = message.to_vec().unwrap();
        let mut expected: Vec<_> = contents.iter().filter(|content| content.record_type() == kind).map(shown).collect();
        if kind == RecordType::PTR {
            // One name is enough.
            expected.truncate(1);
        }
        let found = foreign::answer(&packet, &text(first), kind.into());
        prop_assert_eq!(found, Some(expected));
    }
}
