//! The directives of the section that listens.

use ipnet::IpNet;

use super::parser::{Parser, value_of};
use super::{Access, Listen, Master, Mistake};
use crate::cli::number;
use crate::dns::literal;
use crate::service::Overload;
use crate::tls::between::Entry;
use crate::tls::options::Versions;

impl Parser<'_> {
    /// The directives of the section that listens, up to the brace that ends it.
    pub(super) fn master(&mut self, master: &mut Master) -> Result<(), Mistake> {
        while !self.is_end {
            let word = self.text.clone();
            match &word[..] {
                b"}" => return Ok(()),
                b"permit" | b"deny" | b"acl" => self.access(master)?,
                b"listen" => self.listen(master)?,
                b"background" => master.is_background = Some(self.yes_or_no_after_equal()?),
                b"pidfile" | b"pid-file" => master.pidfile = Some(self.set()?),
                b"bind" => master.retry_delay = self.retry_delay()?,
                b"tcp" => self.keepalive(&mut master.keepalive)?,
                b"overload" => {
                    self.next()?;
                    self.expect(b"=")?;
                    let Some(how) = Overload::read(&self.text) else {
                        return Err(self.expected(&["close", "queue", "reset"]));
                    };
                    master.overload = how;
                    self.next()?;
                }
                b"single" => {
                    self.words(&[b"single", b"process"])?;
                    self.expect(b"=")?;
                    master.is_single = self.yes_or_no()?;
                }
                b"sticky" => {
                    let is_on = self.sticky()?;
                    master.is_sticky = is_on.unwrap_or(master.is_sticky);
                }
                b"spawn" => {
                    self.next()?;
                    self.pass(b"=")?;
                    self.expect(b"{")?;
                    while !self.is(b"}") {
                        if !self.spawn(master)? {
                            let known = [
                                "config",
                                "exec",
                                "groupid",
                                "id",
                                "instances",
                                "ipc",
                                "servers",
                                "sticky",
                                "userid",
                                "users",
                                "working",
                            ];
                            return Err(self.expected(&known));
                        }
                    }
                    self.next()?;
                }
                // The manual has a sample with these outside.
                b"exec" | b"id" | b"config" if self.spawn(master)? => {}
                _ if self.common(&mut master.syslog)? => {}
                _ => {
                    let known = [
                        "background",
                        "bind",
                        "coredump",
                        "debug",
                        "deny",
                        "listen",
                        "overload",
                        "permit",
                        "pid-file",
                        "pidfile",
                        "proctitle",
                        "single",
                        "spawn",
                        "sticky",
                        "syslog",
                        "tcp",
                        "trace",
                        "}",
                    ];
                    return Err(self.expected(&known));
                }
            }
        }
        Ok(())
    }

    /// `permit [not] CIDR`, `deny [not] CIDR`, and a published `acl accept CIDR`.
    fn access(&mut self, master: &mut Master) -> Result<(), Mistake> {
        if self.is(b"acl") {
            self.next()?;
        }
        let permits = match &self.text[..] {
            b"permit" | b"accept" => true,
            b"deny" | b"reject" => false,
            _ => return Err(self.expected(&["accept", "deny", "permit", "reject"])),
        };
        self.next()?;
        let is_negated = self.is(b"not");
        self.pass(b"not")?;
        let Some(network) = network(&self.text) else {
            return Err(self.instead_of("an IP address or network in CIDR notation"));
        };
        master.access.push(Access {
            permits,
            is_negated,
            network,
        });
        self.next()
    }

    fn listen(&mut self, master: &mut Master) -> Result<(), Mistake> {
        self.next()?;
        self.pass(b"=")?;
        let mut listen = Listen {
            place: self.place(),
            ..Listen::default()
        };
        self.expect(b"{")?;
        while !self.is(b"}") {
            match &self.text[..] {
                b"address" => listen.address = Some(self.set_loosely()?),
                b"path" => listen.path = Some(self.set()?),
                b"port" => listen.port = Some(self.set_loosely()?),
                b"mode" => {
                    self.next()?;
                    self.expect(b"=")?;
                    let text = std::str::from_utf8(&self.text).unwrap_or_default();
                    let Some(mode) = u32::from_str_radix(text, 8)
                        .ok()
                        .filter(|mode| *mode <= 0o7777)
                    else {
                        return Err(self.instead_of("a file mode in octal"));
                    };
                    listen.mode = Some(mode);
                    self.next()?;
                }
                b"userid" => listen.user = Some(self.set()?),
                b"groupid" => listen.group = Some(self.set()?),
                b"backlog" => {
                    self.next()?;
                    listen.backlog = Some(self.number_after_equal()?);
                }
                b"overload" => {
                    self.note(b"overload backlog");
                    self.words(&[b"overload", b"backlog"])?;
                    self.number_after_equal()?;
                }
                b"bind" => listen.retry_delay = Some(self.retry_delay()?),
                b"protocol" => listen.is_sctp = self.protocol()?,
                b"type" => {
                    self.next()?;
                    self.expect(b"=")?;
                    if !self.is(b"STREAM") {
                        return Err(self.instead_of("'STREAM', as only streams are relayed"));
                    }
                    self.next()?;
                }
                b"tls" | b"ssl" => self.tls(&mut listen)?,
                b"tcp" => self.keepalive(&mut listen.keepalive)?,
                b"sticky" => {
                    let is_on = self.sticky()?;
                    master.is_sticky = is_on.unwrap_or(master.is_sticky);
                }
                b"dscp" => {
                    self.next()?;
                    self.expect(b"=")?;
                    listen.dscp = Some(self.dscp()?);
                }
                b"vrf" => listen.device = Some(self.set()?),
                b"realm" | b"haproxy" | b"flag" | b"aaa.protocol" => {
                    let what = self.text.clone();
                    self.note(&what);
                    self.set()?;
                }
                // A published sample begins with an address alone.
                text if literal::address(text).is_some() => listen.address = Some(self.value()?),
                _ => {
                    let known = [
                        "aaa.protocol",
                        "address",
                        "backlog",
                        "bind",
                        "dscp",
                        "flag",
                        "groupid",
                        "haproxy",
                        "mode",
                        "overload",
                        "path",
                        "port",
                        "protocol",
                        "realm",
                        "sticky",
                        "tcp",
                        "tls",
                        "type",
                        "userid",
                        "vrf",
                        "}",
                    ];
                    return Err(self.expected(&known));
                }
            }
        }
        master.listens.push(listen);
        self.next()
    }

    /// A value of six bits; of a larger one, as there, the lower six are what the kernel takes.
    fn dscp(&mut self) -> Result<u8, Mistake> {
        let Some(number) = value_of(&self.text) else {
            return Err(self.instead_of("a DSCP value from 0 to 63"));
        };
        let dscp = u8::try_from(number % 64).unwrap_or_default();
        if number > 63 {
            self.remark(format!("dscp {number} is {dscp}").as_bytes());
        }
        self.next()?;
        Ok(dscp)
    }

    /// `tls = yes`, `no`, `auto` or versions, joined by commas. A published sample has `tls` alone for `yes`.
    fn tls(&mut self, listen: &mut Listen) -> Result<(), Mistake> {
        self.next()?;
        if self.is(b"psk") {
            self.note(b"tls psk");
            self.next()?;
            self.expect(b"=")?;
            self.yes_or_no()?;
            return Ok(());
        }
        listen.entry = Entry::Tls(Versions::default());
        if !self.is(b"=") {
            return Ok(());
        }
        self.next()?;
        match &self.text[..] {
            b"yes" | b"true" | b"permit" => {}
            b"no" | b"false" | b"deny" => listen.entry = Entry::Plain,
            b"auto" => listen.entry = Entry::Either(Versions::default()),
            _ => {
                listen.entry = Entry::Tls(self.versions()?);
                return Ok(());
            }
        }
        self.next()
    }

    /// `TLSv1.3`, or several versions, joined by commas. Older ones than 1.2 are left out.
    fn versions(&mut self) -> Result<Versions, Mistake> {
        let mut spoken = [false; 2];
        loop {
            match &self.text[..] {
                b"TLSv1.2" => spoken[0] = true,
                b"TLSv1.3" => spoken[1] = true,
                b"SSLv2" | b"SSLv3" | b"TLSv1" | b"TLSv1.0" | b"TLSv1.1" => {
                    let old = [&self.text[..], b" is not spoken here"].concat();
                    self.remark(&old);
                }
                _ => return Err(self.expected(&["TLSv1.2", "TLSv1.3", "auto", "no", "yes"])),
            }
            self.next()?;
            if !self.is(b",") {
                break;
            }
            self.next()?;
        }
        match spoken {
            [true, true] => Ok(Versions::From12),
            [false, true] => Ok(Versions::Only13),
            [true, false] => Ok(Versions::Only12),
            [false, false] => Err(self.expected(&["TLSv1.2", "TLSv1.3"])),
        }
    }

    /// One directive of `spawn`; false when it is something else.
    fn spawn(&mut self, master: &mut Master) -> Result<bool, Mistake> {
        match &self.text[..] {
            b"exec" => {
                self.note(b"exec");
                self.set_loosely()?;
            }
            b"id" => master.child = Some(self.set()?),
            b"config" => master.child_file = Some(self.set()?),
            b"instances" | b"servers" => {
                let max = self.at_most(b"instances min")?;
                master.instances_max = max.or(master.instances_max);
            }
            b"users" => {
                let max = self.at_most(b"users min")?;
                master.users_max = max.or(master.users_max);
            }
            b"userid" => master.user = Some(self.set()?),
            b"groupid" => master.group = Some(self.set()?),
            b"working" => {
                self.words(&[b"working", b"directory"])?;
                self.expect(b"=")?;
                // The program wants it twice, and its manual once.
                self.pass(b"=")?;
                master.folder = Some(self.value()?);
            }
            b"ipc" => {
                self.note(b"ipc key");
                self.words(&[b"ipc", b"key"])?;
                self.number_after_equal()?;
            }
            b"sticky" => {
                let is_on = self.sticky()?;
                master.is_sticky = is_on.unwrap_or(master.is_sticky);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `min = N`, of which only a note is made, or `max = N`.
    fn at_most(&mut self, min: &[u8]) -> Result<Option<u32>, Mistake> {
        self.next()?;
        let is_max = match &self.text[..] {
            b"max" | b"maximum" => true,
            b"min" | b"minimum" => false,
            _ => return Err(self.expected(&["max", "min"])),
        };
        if !is_max {
            self.note(min);
        }
        self.next()?;
        self.expect(b"=")?;
        if is_max && value_of(&self.text) == Some(0) {
            return Err(self.instead_of("an integer above 0"));
        }
        let number = self.number()?;
        Ok(is_max.then_some(number))
    }
}

/// An address or a prefix; as in the program, bits behind the prefix do not count.
fn network(text: &[u8]) -> Option<IpNet> {
    let slash = text.iter().position(|&byte| byte == b'/');
    let address = literal::address(&text[..slash.unwrap_or(text.len())])?.to_canonical();
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = match slash {
        None => bits,
        Some(slash) => u8::try_from(number(&text[slash + 1..])?).ok()?,
    };
    Some(IpNet::new(address, length).ok()?.trunc())
}
