//! The directives of the section that relays.

use super::parser::{Parser, value_of};
use super::{Certificate, Mistake, Relaying, Remote};
use crate::dns::literal;

/// The largest share of a remote.
const WEIGHT_MAX: u32 = 65535;

impl Parser<'_> {
    /// The directives of the section that relays, up to the brace that ends it.
    pub(super) fn relay(&mut self, relay: &mut Relaying) -> Result<(), Mistake> {
        while !self.is_end {
            let word = self.text.clone();
            match &word[..] {
                b"}" => return Ok(()),
                b"remote" => self.remote(relay)?,
                b"local" => {
                    self.words(&[b"local", b"address"])?;
                    self.expect(b"=")?;
                    let local = literal::address(&self.text);
                    relay.local = Some(local.ok_or_else(|| self.instead_of("an IP address"))?);
                    self.next()?;
                }
                b"rebalance" => {
                    self.next()?;
                    relay.rebalance = self.number_after_equal()?;
                }
                b"retire" => {
                    self.next()?;
                    self.pass(b"limit")?;
                    relay.retire = self.number_after_equal()?;
                }
                b"idle" => {
                    self.words(&[b"idle", b"timeout"])?;
                    relay.idle = self.number_after_equal()?;
                }
                b"tls" | b"ssl" => self.certificate(&mut relay.tls)?,
                _ if self.common(&mut relay.syslog)? => {}
                _ => {
                    let known = [
                        "coredump",
                        "debug",
                        "idle",
                        "local",
                        "proctitle",
                        "rebalance",
                        "remote",
                        "retire",
                        "syslog",
                        "tls",
                        "trace",
                        "}",
                    ];
                    return Err(self.expected(&known));
                }
            }
        }
        Ok(())
    }

    /// `tls cert-file = F`, `tls key-file = F`, `tls passphrase = T`, and how published samples write them.
    fn certificate(&mut self, tls: &mut Certificate) -> Result<(), Mistake> {
        if tls.place.is_empty() {
            tls.place = self.place();
        }
        self.next()?;
        let value = match &self.text[..] {
            b"cert" | b"certfile" | b"cert-file" => &mut tls.file,
            b"key" | b"keyfile" | b"key-file" => &mut tls.key,
            b"passphrase" => &mut tls.passphrase,
            _ => return Err(self.expected(&["cert-file", "key-file", "passphrase"])),
        };
        *value = Some(self.set()?);
        Ok(())
    }

    fn remote(&mut self, relay: &mut Relaying) -> Result<(), Mistake> {
        self.next()?;
        self.pass(b"=")?;
        let mut remote = Remote {
            place: self.place(),
            weight: 1,
            ..Remote::default()
        };
        self.expect(b"{")?;
        while !self.is(b"}") {
            match &self.text[..] {
                b"address" => remote.address = self.set()?,
                b"port" => remote.port = self.set()?,
                b"protocol" => remote.is_sctp = self.protocol()?,
                b"weight" => {
                    self.next()?;
                    self.expect(b"=")?;
                    if value_of(&self.text).is_some_and(|weight| weight > WEIGHT_MAX) {
                        let weight = String::from_utf8_lossy(&self.text).into_owned();
                        self.remark(format!("weight {weight} is {WEIGHT_MAX}").as_bytes());
                    }
                    remote.weight = self.number()?.clamp(1, WEIGHT_MAX);
                }
                _ => return Err(self.expected(&["address", "port", "protocol", "weight", "}"])),
            }
        }
        // The program takes one without an address, and cannot use it.
        if remote.address.is_empty() {
            return Err(self.expected(&["address"]));
        }
        if remote.port.is_empty() {
            return Err(self.expected(&["port"]));
        }
        relay.remotes.push(remote);
        self.next()
    }
}
