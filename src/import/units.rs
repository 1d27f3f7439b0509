//! A `.socket` unit of systemd with `Accept=yes`, and the `@.service` that it starts.
//!
//! Source: systemd.socket(5), systemd.service(5), systemd.exec(5), systemd.resource-control(5), systemd.syntax(7). What
//! is left out: drop-ins, which nobody reads here, and all that systemd does for a service besides starting it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::report::{Fault, Note, Place, shown};
use super::service::{Resource, Server, Service, last_part, not_a_number, wrapped};
use super::statement::{Pattern, Statement, Verdict, Who};
use super::{Found, Reader, Tree};
use crate::cli;

/// Adds the services of the socket unit `file`. Its service unit is beside it.
///
/// # Errors
/// A line that cannot be read.
pub(super) fn read(
    file: &[u8],
    text: &[u8],
    reader: &mut Reader<'_>,
    found: &mut Found,
) -> Result<(), Fault> {
    let place = Place::new(file, 0);
    let name = last_part(file);
    let name = name.strip_suffix(b".socket").unwrap_or(name);
    let mut unit = Unit::default();
    unit.read(file, text)?;
    let mut left_out = |why: String| found.left_out.push(Note::missing(place.clone(), why));
    if !unit.yes("Accept")?.unwrap_or(false) {
        left_out("Accept=no has no equal: the program would accept for itself".to_owned());
        return Ok(());
    }
    let folder = &file[..file.len() - last_part(file).len()];
    let service = [folder, name, b"@.service"].concat();
    match reader(&service) {
        Ok(Tree::File { text, .. }) => unit.read(&service, &text)?,
        Ok(Tree::Folder(_)) => left_out(format!("{}: a folder", shown(&service))),
        Err(why) => left_out(format!("{}: {why}", shown(&service))),
    }
    let Some((command, command_place)) = unit.last("ExecStart").cloned() else {
        left_out("no ExecStart= is known".to_owned());
        return Ok(());
    };
    let input = unit.last("StandardInput").map(|(value, _)| &value[..]);
    if input != Some(b"socket") {
        left_out(
            "without StandardInput=socket the program takes descriptor 3, which has no equal"
                .to_owned(),
        );
        return Ok(());
    }
    let streams = unit.all("ListenStream").to_vec();
    for (kind, values) in &unit.settings {
        if kind.starts_with("Listen") && kind != "ListenStream" {
            for (value, place) in values {
                let text = format!("{kind}={}: no equal", shown(value));
                found.left_out.push(Note::missing(place.clone(), text));
            }
        }
    }
    for (stream, place) in streams {
        let Some((host, port)) = address(
            &stream,
            unit.last("BindIPv6Only").map(|(value, _)| &value[..]),
        ) else {
            let text = format!(
                "ListenStream={}: no equal; tcpserver has internet addresses",
                shown(&stream)
            );
            found.left_out.push(Note::missing(place, text));
            continue;
        };
        let mut made = Service::new(name, &place, None);
        let mut server = Server {
            host,
            port,
            ..Server::default()
        };
        run(&command, &command_place, &mut server, &mut made)?;
        unit.apply(&mut server, &mut made)?;
        if server.host == b"::" {
            made.statements.push(Statement::no_ipv4(&place));
        }
        let access = unit.access(&mut made);
        made.statements.extend(access);
        made.different(
            &command_place,
            "REMOTE_ADDR and REMOTE_PORT: they are TCPREMOTEIP and TCPREMOTEPORT",
        );
        made.server = Some(server);
        found.add(made)?;
    }
    Ok(())
}

/// How many lines a unit and its socket may have: each address has them all.
const LINES_MAX: usize = 10_000;

/// Values with their places.
type Values = Vec<(Vec<u8>, Place)>;

/// The settings of both files. No name is in two sections with two meanings.
#[derive(Debug, Default)]
struct Unit {
    settings: BTreeMap<String, Values>,
    /// How many lines were read.
    lines: usize,
}

impl Unit {
    /// Adds the settings of a file: the empty value takes away what was said before.
    fn read(&mut self, file: &[u8], text: &[u8]) -> Result<(), Fault> {
        let mut section: Vec<u8> = Vec::new();
        for (number, line) in logical_lines(text) {
            let place = Place::new(file, number);
            let line = line.trim_ascii();
            if let Some(name) = line
                .strip_prefix(b"[")
                .and_then(|rest| rest.strip_suffix(b"]"))
            {
                section = name.to_vec();
                continue;
            }
            let equals = line.iter().position(|&byte| byte == b'=');
            let equals = equals.ok_or_else(|| Fault::at(&place, "[section] or name=value"))?;
            if section.is_empty() {
                return Err(Fault::at(&place, "[section] before it"));
            }
            let name = shown(line[..equals].trim_ascii());
            let name = if section == b"Unit" || section == b"Install" || section.starts_with(b"X-")
            {
                format!("{}.{name}", shown(&section))
            } else {
                name
            };
            let value = line[equals + 1..].trim_ascii().to_vec();
            self.lines += 1;
            if self.lines > LINES_MAX {
                let expected = format!("no more than {LINES_MAX} settings");
                return Err(Fault::at(&place, expected));
            }
            let values = self.settings.entry(name).or_default();
            if value.is_empty() {
                values.clear();
            } else {
                values.push((value, place));
            }
        }
        Ok(())
    }

    fn all(&self, name: &str) -> &[(Vec<u8>, Place)] {
        self.settings.get(name).map_or(&[], Vec::as_slice)
    }

    fn last(&self, name: &str) -> Option<&(Vec<u8>, Place)> {
        self.all(name).last()
    }

    fn yes(&self, name: &str) -> Result<Option<bool>, Fault> {
        self.last(name)
            .map(|(value, place)| yes(value, place))
            .transpose()
    }

    /// Does what all settings say, but those that were read before.
    fn apply(&self, server: &mut Server, made: &mut Service) -> Result<(), Fault> {
        // systemd's own limit.
        server.limit = Some(64);
        for (name, values) in &self.settings {
            for (value, place) in values {
                apply(name, value, place, server, made)?;
            }
        }
        let limit = server.limit.unwrap_or(64);
        let place = self
            .last("MaxConnections")
            .map_or(&made.place, |(_, place)| place)
            .clone();
        made.different(
            &place,
            format!("MaxConnections={limit}: more wait, and are not refused"),
        );
        Ok(())
    }

    /// `IPAddressAllow=` comes before `IPAddressDeny=`.
    fn access(&self, made: &mut Service) -> Vec<Statement> {
        let mut statements = Vec::new();
        for (name, verdict) in [
            ("IPAddressAllow", Verdict::ALLOW),
            ("IPAddressDeny", Verdict::Deny),
        ] {
            for (value, place) in self.all(name) {
                let mut patterns = Vec::new();
                for word in value
                    .split(u8::is_ascii_whitespace)
                    .filter(|word| !word.is_empty())
                {
                    match networks(word) {
                        Some(networks) => {
                            patterns.extend(networks.into_iter().map(Pattern::network));
                        }
                        None => {
                            patterns.push(Pattern::at_most(Who::Everybody));
                            made.missing(place, format!("{name}={}: no address", shown(word)));
                        }
                    }
                }
                statements.push(Statement::new(patterns, verdict.clone(), place.clone()));
            }
        }
        statements
    }
}

/// The lines that say something; one that ends in a backslash goes on with the next.
fn logical_lines(text: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let start = line.trim_ascii_start();
        if start.starts_with(b"#") || start.starts_with(b";") || start.is_empty() && !goes_on {
            continue;
        }
        let (line, is_open) = line
            .strip_suffix(b"\\")
            .map_or((line, false), |line| (line, true));
        match lines.last_mut() {
            Some((_, whole)) if goes_on => {
                whole.push(b' ');
                whole.extend_from_slice(line);
            }
            _ => lines.push((number + 1, line.to_vec())),
        }
        goes_on = is_open;
    }
    lines
}

fn yes(value: &[u8], place: &Place) -> Result<bool, Fault> {
    match &value.to_ascii_lowercase()[..] {
        b"1" | b"yes" | b"y" | b"true" | b"t" | b"on" => Ok(true),
        b"0" | b"no" | b"n" | b"false" | b"f" | b"off" => Ok(false),
        _ => Err(Fault::at(place, "yes or no")),
    }
}

/// Host and port of tcpserver.
fn address(stream: &[u8], six_only: Option<&[u8]>) -> Option<(Vec<u8>, Vec<u8>)> {
    let any: &[u8] = if six_only == Some(b"ipv6-only") {
        b"::"
    } else {
        b":0"
    };
    let text = std::str::from_utf8(stream).ok()?;
    let (host, port) = match text.rsplit_once(':') {
        None => (any.to_vec(), text),
        Some((host, port)) => {
            let inside = host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'));
            let address: IpAddr = inside.unwrap_or(host).parse().ok()?;
            let host = match address {
                IpAddr::V6(address) if address.is_unspecified() => any.to_vec(),
                address => address.to_string().into_bytes(),
            };
            (host, port)
        }
    };
    let port: u16 = port.parse().ok()?;
    Some((host, port.to_string().into_bytes()))
}

/// What `ExecStart=` says.
fn run(
    command: &[u8],
    place: &Place,
    server: &mut Server,
    made: &mut Service,
) -> Result<(), Fault> {
    let mut command = command;
    let mut has_name = false;
    while let [mark @ (b'-' | b'@' | b':' | b'+' | b'!'), rest @ ..] = command {
        match mark {
            b'@' => has_name = true,
            b'+' | b'!' => made.missing(
                place,
                format!("{}: no equal; it runs as the user", char::from(*mark)),
            ),
            _ => {}
        }
        command = rest;
    }
    let words =
        words(command).ok_or_else(|| Fault::at(place, "closed quotes, and known escapes"))?;
    let mut words = words;
    words.retain(|word| {
        if !word.contains(&b'$') {
            return true;
        }
        // A variable that is a word of its own is no word when it is empty.
        let is_whole = word[0] == b'$';
        let what = if is_whole {
            "left out"
        } else {
            "kept as it is"
        };
        made.missing(
            place,
            format!(
                "{}: what the variable holds is not known; {what}",
                shown(word)
            ),
        );
        !is_whole
    });
    let words = words.iter().map(|word| specifiers(word, place, made));
    let words: Vec<Vec<u8>> = words.collect();
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let Some((program, rest)) = words.split_first() else {
        return Err(Fault::at(place, "a program"));
    };
    let words = if has_name { rest } else { &words[..] };
    // As inetd calls tcpd, by the name of what it is to run.
    if has_name && let Some(real) = wrapped(program, words) {
        made.daemon = Some(last_part(&real).to_vec());
        server.run(&real, words);
    } else {
        server.run(program, words);
    }
    Ok(())
}

/// Words with quotes and the escapes of C.
fn words(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        if quote.is_none() && byte.is_ascii_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        match byte {
            b'"' | b'\'' if quote.is_none() => quote = Some(byte),
            _ if quote == Some(byte) => quote = None,
            b'\\' => word.push(match bytes.next()? {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b's' => b' ',
                byte @ (b'\\' | b'"' | b'\'') => byte,
                b'x' => {
                    let digits = [bytes.next()?, bytes.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                _ => return None,
            }),
            _ => word.push(byte),
        }
    }
    words.extend(word);
    // A program takes no NUL.
    let is_clean = quote.is_none() && !words.iter().any(|word| word.contains(&0));
    is_clean.then_some(words)
}

/// The word with `%%` made one; other ones are kept, with a note.
fn specifiers(word: &[u8], place: &Place, made: &mut Service) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut bytes = word.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        plain.push(byte);
        if byte == b'%' && bytes.next_if_eq(&b'%').is_none() {
            made.missing(
                place,
                format!("{}: what stands for % is not known", shown(word)),
            );
        }
    }
    plain
}

/// One setting.
fn apply(
    name: &str,
    value: &[u8],
    place: &Place,
    server: &mut Server,
    made: &mut Service,
) -> Result<(), Fault> {
    let number = || cli::number(value).ok_or_else(|| Fault::at(place, not_a_number(name, value)));
    match name {
        "Accept" | "ListenStream" | "BindIPv6Only" | "ExecStart" | "StandardInput"
        | "IPAddressAllow" | "IPAddressDeny" | "Unit.Description" | "Unit.Documentation"
        | "Type" | "KillMode" => {}
        "Install.WantedBy" | "Install.Also" | "Unit.Requires" | "Unit.After" | "Unit.Before"
        | "Unit.Wants" => {}
        _ if name.starts_with("Listen") => {}
        "MaxConnections" => server.limit = Some(number()?).filter(|&limit| limit > 0),
        "MaxConnectionsPerSource" => server
            .options
            .push(format!("--source-limit={}", number()?).into_bytes()),
        "Backlog" => server.backlog = Some(number()?),
        "NoDelay" => {
            if yes(value, place)? {
                server.options.push(b"-D".to_vec());
            }
        }
        "User" => server.set_user(value),
        "Group" => server.group = Some(value.to_vec()),
        "Nice" => server.nice = Some(value.to_vec()),
        "UMask" => server.umask = Some(value.to_vec()),
        "WorkingDirectory" => {
            if value.starts_with(b"/") {
                server.folder = Some(value.to_vec());
            } else {
                made.missing(place, format!("{name}={}: no path", shown(value)));
            }
        }
        "Environment" => {
            let words =
                words(value).ok_or_else(|| Fault::at(place, "closed quotes, and known escapes"))?;
            for word in words {
                let word = specifiers(&word, place, made);
                if !word.contains(&b'=') || word.starts_with(b"=") {
                    return Err(Fault::at(place, "name=value"));
                }
                server.environment.push(word);
            }
        }
        "StandardOutput" | "StandardError" => {
            let to = shown(value);
            if name == "StandardError" && (value == b"socket" || value == b"inherit") {
                made.different(place, format!("{name}={to}: it is the log"));
            } else if !["socket", "inherit", "journal", "syslog", "kmsg"].contains(&&to[..]) {
                made.missing(place, format!("{name}={to}: no equal"));
            }
        }
        _ => match resource(name) {
            Some(resource) => {
                if value != b"infinity" {
                    let limit = bytes(value)
                        .ok_or_else(|| Fault::at(place, "a number, perhaps with K, M or G"))?;
                    server
                        .limits
                        .push((resource, limit.to_string().into_bytes()));
                }
            }
            None => made.missing(place, format!("{name}={}: no equal", shown(value))),
        },
    }
    Ok(())
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "LimitAS" => Resource::AddressSpace,
        "LimitCPU" => Resource::Cpu,
        "LimitDATA" => Resource::Data,
        "LimitRSS" => Resource::Resident,
        "LimitSTACK" => Resource::Stack,
        "LimitNOFILE" => Resource::Files,
        _ => return None,
    })
}

/// `soft` or `soft:hard`, in bytes with K, M, G: the soft one.
fn bytes(text: &[u8]) -> Option<u64> {
    let soft = text.split(|&byte| byte == b':').next()?;
    let (digits, unit) = match soft {
        [digits @ .., b'K'] => (digits, 1 << 10),
        [digits @ .., b'M'] => (digits, 1 << 20),
        [digits @ .., b'G'] => (digits, 1 << 30),
        _ => (soft, 1),
    };
    Some(u64::from(cli::number(digits)?) * unit)
}

/// A word of `IPAddressAllow=`.
fn networks(word: &[u8]) -> Option<Vec<IpNet>> {
    let text = std::str::from_utf8(word).ok()?;
    let known: &[&str] = match text {
        "any" => &["0.0.0.0/0", "::/0"],
        "localhost" => &["127.0.0.0/8", "::1/128"],
        "link-local" => &["169.254.0.0/16", "fe80::/64"],
        "multicast" => &["224.0.0.0/4", "ff00::/8"],
        _ => &[],
    };
    if !known.is_empty() {
        return known.iter().map(|network| network.parse().ok()).collect();
    }
    let (address, length) = text
        .split_once('/')
        .map_or((text, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().ok()?;
    let network = match length {
        None => IpNet::from(address),
        Some(length) => IpNet::new(address, length.parse().ok()?).ok()?.trunc(),
    };
    Some(vec![network])
}
