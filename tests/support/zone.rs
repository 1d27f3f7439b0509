//! What an honest name server knows.

use std::net::Ipv4Addr;

use super::packet::{A, CNAME, NXDOMAIN, PTR, Question, Reply, labels, name, reverse};

const TTL: u32 = 60;

/// Names and their records; every other name does not exist.
#[derive(Clone, Default)]
pub(crate) struct Zone {
    records: Vec<(String, u16, Vec<u8>)>,
}

impl Zone {
    /// `ip` is called `text`.
    pub(crate) fn ptr(self, ip: Ipv4Addr, text: &str) -> Self {
        self.record(&reverse(ip), PTR, name(text))
    }

    /// `ip` has a name of these labels.
    pub(crate) fn ptr_of(self, ip: Ipv4Addr, bytes: &[&[u8]]) -> Self {
        self.record(&reverse(ip), PTR, labels(bytes))
    }

    pub(crate) fn a(self, host: &str, ips: &[Ipv4Addr]) -> Self {
        ips.iter()
            .fold(self, |zone, ip| zone.record(host, A, ip.octets().to_vec()))
    }

    pub(crate) fn alias(self, host: &str, of: &str) -> Self {
        self.record(host, CNAME, name(of))
    }

    /// `host` exists and has nothing that anybody asks for.
    pub(crate) fn empty(self, host: &str) -> Self {
        self.record(host, 0, Vec::new())
    }

    pub(crate) fn record(mut self, owner: &str, kind: u16, data: Vec<u8>) -> Self {
        self.records.push((owner.to_owned(), kind, data));
        self
    }

    /// The answer to `question`: its records, with the aliases that lead to them before them.
    pub(crate) fn answer(&self, question: &Question) -> Reply {
        let mut owner = question.name.clone();
        let mut reply = question.reply();
        loop {
            let Some((_, _, data)) = self.of(&owner).find(|(_, kind, _)| *kind == CNAME) else {
                break;
            };
            reply = reply.with_of(&name(&owner), CNAME, TTL, data);
            let target = Question::read(&[&[0; 12][..], data, &[0; 4]].concat(), false)
                .expect("it was written as a name")
                .name;
            owner = target;
        }
        for (_, kind, data) in self.of(&owner) {
            if *kind == question.kind {
                reply = reply.with_of(&name(&owner), *kind, TTL, data);
            }
        }
        if self.of(&owner).next().is_none() {
            reply = reply.code(NXDOMAIN);
        }
        reply
    }

    fn of(&self, owner: &str) -> impl Iterator<Item = &(String, u16, Vec<u8>)> {
        self.records
            .iter()
            .filter(move |(name, _, _)| name.eq_ignore_ascii_case(owner))
    }
}
