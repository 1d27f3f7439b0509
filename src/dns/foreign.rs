//! The parsers of what others wrote, each as one function, so that `fuzz/` can reach them. No part of the interface.

use std::net::IpAddr;

use super::packet::{Kind, Question, Record, Reply};
use super::{config, hosts, name, qualify};

/// The name servers in the text of a resolv.conf.
pub fn name_servers(text: &[u8]) -> Vec<IpAddr> {
    config::name_servers(text)
}

/// The rest of the first `search` or `domain` line of a resolv.conf.
pub fn search_list(text: &[u8]) -> Option<&[u8]> {
    config::search_list(text)
}

/// The name servers in the text of `$DNSCACHEIP`.
pub fn cache_list(text: &[u8]) -> Vec<IpAddr> {
    config::listed(text)
}

/// The names that `operand` stands for under the rules in the text of a dnsrewrite file.
pub fn qualify(rules: &[u8], operand: &[u8]) -> Vec<Vec<u8>> {
    qualify::Rules::from_file(rules).qualify(operand)
}

/// The addresses of `name` in the text of a hosts file.
pub fn hosts(text: &[u8], name: &[u8]) -> Vec<IpAddr> {
    hosts::addresses(text, name)
}

/// The name that `text` spells, as text.
pub fn name(text: &[u8]) -> Option<Vec<u8>> {
    name::parse(text).ok().map(|name| name::text(&name))
}

/// The names, addresses and texts in `packet`, taken for the answer to a question of `kind` (RFC 1035 section 3.2.2) for
/// `name` under the id 0; nothing if it is none, or one of no use.
pub fn answer(packet: &[u8], name: &[u8], kind: u16) -> Option<Vec<Vec<u8>>> {
    let kinds = [Kind::A, Kind::Ptr, Kind::Txt, Kind::Aaaa];
    let question = Question {
        name: name::parse(name).ok()?,
        kind: kinds.into_iter().find(|known| *known as u16 == kind)?,
    };
    let read = &packet[..packet.len().min(question.answer_bytes())];
    let Reply::Answer(records, _) = question.read(read, 0, read.len() < packet.len())?.ok()? else {
        return None;
    };
    let texts = records.into_iter().map(|record| match record {
        Record::Text(text) => text.into_vec(),
        Record::Address(address) => address.to_string().into_bytes(),
    });
    Some(texts.collect())
}
