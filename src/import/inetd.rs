//! inetd.conf.
//!
//! ```text
//! line := [addr[,addr]*:]service[/versions] type proto[,sndbuf=N][,rcvbuf=N] wait|nowait[limits] user program [name arg*]
//! ```
//!
//! Source: inetd(8) of OpenBSD in Debian's form, whose `tcp` is both families, and of FreeBSD, whose limits are
//! `/children[/minute-and-address[/children-and-address]]`. A line that begins with a blank goes on with the one before
//! it. What is left out: everything that is not a connection of its own (`dgram`, `wait`, RPC, `unix`), and tcpmux.

use super::Found;
use super::report::{Fault, Note, Place, shown};
use super::service::{Server, Service, last_part, wrapped};
use super::statement::Statement;
use crate::cli;

/// Adds the services of a file.
///
/// # Errors
/// A line that has too few fields, or one of a kind that no inetd knows.
pub(super) fn read(file: &[u8], text: &[u8], found: &mut Found) -> Result<(), Fault> {
    let mut default: Vec<u8> = b"*".to_vec();
    for (number, line) in lines(text) {
        let place = Place::new(file, number);
        let fields: Vec<&[u8]> = line.iter().flat_map(|line| words(line)).collect();
        match fields[..] {
            [] => {}
            [only] if only.ends_with(b":") => default = only[..only.len() - 1].to_vec(),
            [service, kind, protocol, wait, user, program, ref words @ ..] => {
                let line = Line {
                    place: &place,
                    service,
                    kind,
                    protocol,
                    wait,
                    user,
                    program,
                    words,
                };
                line.read(&default, found)?;
            }
            _ => {
                return Err(Fault::at(
                    &place,
                    "service, type, protocol, wait or nowait, user and program",
                ));
            }
        }
    }
    Ok(())
}

/// Whether a file is one for inetd, by its first line.
pub(super) fn is_one(text: &[u8]) -> bool {
    let lines = lines(text);
    let first = lines.first().map_or(&[][..], |(_, line)| line);
    let wait = first.iter().flat_map(|line| words(line)).nth(3);
    wait.is_some_and(|wait| wait.starts_with(b"wait") || wait.starts_with(b"nowait"))
}

/// Lines that are no comment, each with those that go on with it.
fn lines(text: &[u8]) -> Vec<(usize, Vec<&[u8]>)> {
    let mut lines: Vec<(usize, Vec<&[u8]>)> = Vec::new();
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let rest = line.trim_ascii();
        if rest.is_empty() || rest.starts_with(b"#") {
            continue;
        }
        match lines.last_mut() {
            Some((_, parts)) if line[0].is_ascii_whitespace() => parts.push(rest),
            _ => lines.push((number + 1, vec![rest])),
        }
    }
    lines
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// The fields of a line.
struct Line<'t> {
    place: &'t Place,
    service: &'t [u8],
    kind: &'t [u8],
    protocol: &'t [u8],
    wait: &'t [u8],
    user: &'t [u8],
    program: &'t [u8],
    words: &'t [&'t [u8]],
}

impl Line<'_> {
    fn read(&self, default: &[u8], found: &mut Found) -> Result<(), Fault> {
        // A path may have colons, an address always has one after it.
        let colon = self.service.iter().rposition(|&byte| byte == b':');
        let colon = colon.filter(|_| !self.service.starts_with(b"/"));
        let (addresses, service) = match colon {
            Some(colon) => (&self.service[..colon], &self.service[colon + 1..]),
            None => (default, self.service),
        };
        let mut protocol = self.protocol.split(|&byte| byte == b',');
        let family = protocol.next().unwrap_or_default();
        if let Some(why) = self.obstacle(service, family)? {
            let text = format!("{}: {why}", shown(self.service));
            found.left_out.push(Note::missing(self.place.clone(), text));
            return Ok(());
        }
        for address in addresses.split(|&byte| byte == b',') {
            let mut server = Server {
                host: host(address, family),
                port: service.to_vec(),
                ..Server::default()
            };
            if family == b"tcp46" {
                server.options.push(b"-6".to_vec());
            }
            let mut made = Service::new(service, self.place, None);
            if !self.run(&mut server, &mut made) {
                let text = format!(
                    "{}: no program, and no internal service of that name",
                    shown(service)
                );
                found.left_out.push(Note::missing(self.place.clone(), text));
                return Ok(());
            }
            for buffer in protocol.clone() {
                let text = format!(
                    "{}: no equal; the kernel chooses the buffers",
                    shown(buffer)
                );
                made.missing(self.place, text);
            }
            self.limits(&mut server, &mut made)?;
            self.become_user(&mut server, &mut made);
            if server.host == b"::" {
                if join(found, &server, self.place) {
                    continue;
                }
                made.statements.push(Statement::no_ipv4(self.place));
            }
            made.server = Some(server);
            found.add(made)?;
        }
        Ok(())
    }

    /// Why tcpserver cannot serve this line, if so.
    fn obstacle(&self, service: &[u8], family: &[u8]) -> Result<Option<&'static str>, Fault> {
        let kinds: [&[u8]; 5] = [b"stream", b"dgram", b"raw", b"rdm", b"seqpacket"];
        if !kinds.contains(&self.kind) {
            return Err(Fault::at(
                self.place,
                "stream, dgram, raw, rdm or seqpacket as the type",
            ));
        }
        let waits = match self.wait.split(|byte| b".:/".contains(byte)).next() {
            Some(b"wait") => true,
            Some(b"nowait") => false,
            _ => return Err(Fault::at(self.place, "wait or nowait after the protocol")),
        };
        Ok(match family {
            _ if service.starts_with(b"tcpmux") => Some("no equal for tcpmux"),
            b"unix" => Some("a UNIX socket has no equal"),
            _ if family.starts_with(b"rpc/") || service.contains(&b'/') => Some("RPC has no equal"),
            b"udp" | b"udp4" | b"udp6" | b"udp46" => Some("UDP has no equal"),
            b"tcp" | b"tcp4" | b"tcp6" | b"tcp46" if self.kind != b"stream" => Some("no stream"),
            b"tcp" | b"tcp4" | b"tcp6" | b"tcp46" if waits => {
                Some("wait has no equal: the program would accept for itself")
            }
            b"tcp" | b"tcp4" | b"tcp6" | b"tcp46" => None,
            _ => Some("a protocol without an equal"),
        })
    }

    /// Says what to run; false if that is not known.
    fn run(&self, server: &mut Server, made: &mut Service) -> bool {
        if self.program == b"internal" {
            return server.run_internal(&server.port.clone());
        }
        match wrapped(self.program, self.words) {
            Some(program) => {
                made.daemon = Some(last_part(&program).to_vec());
                server.run(&program, self.words);
            }
            None => server.run(self.program, self.words),
        }
        true
    }

    /// What follows `nowait`.
    fn limits(&self, server: &mut Server, made: &mut Service) -> Result<(), Fault> {
        let limits = self.wait.strip_prefix(b"nowait").unwrap_or_default();
        let Some((separator, numbers)) = limits.split_first() else {
            return Ok(());
        };
        let numbers: Option<Vec<u32>> = numbers
            .split(|byte| byte == separator)
            .map(cli::number)
            .collect();
        let option = |text: String| text.into_bytes();
        match (separator, numbers.as_deref()) {
            (b'.' | b':', Some(&[rate])) if rate > 0 => {
                server
                    .options
                    .push(option(format!("--rate={rate}/60:{rate}")));
                let text = format!(
                    "{}: more than {rate} a minute wait; inetd turned the service off for ten minutes",
                    shown(self.wait)
                );
                made.different(self.place, text);
            }
            (b'/', Some(&[children, ref of_address @ ..])) if of_address.len() <= 2 => {
                server.limit = Some(children).filter(|&children| children > 0);
                if let Some(&rate) = of_address.first().filter(|&&rate| rate > 0) {
                    server
                        .options
                        .push(option(format!("--source-rate={rate}/60:{rate}")));
                }
                if let Some(&limit) = of_address.get(1).filter(|&&limit| limit > 0) {
                    server
                        .options
                        .push(option(format!("--source-limit={limit}")));
                }
                let text = format!(
                    "{}: more children than that wait, and are not refused",
                    shown(self.wait)
                );
                made.different(self.place, text);
            }
            _ => {
                return Err(Fault::at(
                    self.place,
                    "nowait.N, or nowait/N with up to three numbers",
                ));
            }
        }
        Ok(())
    }

    /// `user`, `user.group`, `user:group`, each with `/class`.
    fn become_user(&self, server: &mut Server, made: &mut Service) {
        let mut parts = self.user.splitn(2, |&byte| byte == b'/');
        let user = parts.next().unwrap_or_default();
        if let Some(class) = parts.next() {
            made.missing(
                self.place,
                format!("login class {}: no equal", shown(class)),
            );
        }
        // A user's name may have a dot, so a colon is the better mark.
        let mark = user.iter().position(|&byte| byte == b':');
        let mark = mark.or_else(|| user.iter().position(|&byte| byte == b'.'));
        let (user, group) = mark.map_or((user, None), |at| (&user[..at], Some(&user[at + 1..])));
        server.set_user(user);
        server.group = group.map(<[u8]>::to_vec);
    }
}

/// Has a server of IPv6 at any address done by the one of IPv4 that is otherwise the same: two sockets would be in each
/// other's way.
fn join(found: &mut Found, six: &Server, place: &Place) -> bool {
    for made in &mut found.services {
        if let Some(four) = &mut made.server
            && six.host == b"::"
            && [&b"0"[..], b":0"].contains(&&four.host[..])
            && four.is_same(six)
        {
            four.host = b":0".to_vec();
            made.different(place, "one server serves both families");
            return true;
        }
    }
    false
}

/// What tcpserver calls the address.
fn host(address: &[u8], family: &[u8]) -> Vec<u8> {
    match (address, family) {
        (b"*" | b"", b"tcp4") => b"0".to_vec(),
        (b"*" | b"", b"tcp6") => b"::".to_vec(),
        (b"*" | b"", _) => b":0".to_vec(),
        _ => {
            let inside = address
                .strip_prefix(b"[")
                .and_then(|rest| rest.strip_suffix(b"]"));
            inside.unwrap_or(address).to_vec()
        }
    }
}
