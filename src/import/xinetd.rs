//! The services of xinetd.
//!
//! Source: xinetd.conf(5) and xinetd's source: a client on both lists is refused, whichever entry is closer. What is left
//! out: all services that are no connection of their own.

use super::blocks::{self, Attribute, Block, Entry};
use super::clients::clients;
use super::report::{Fault, Note, shown};
use super::service::{Resource, Server, Service, last_part, not_a_number, wrapped};
use super::statement::{Pattern, Statement, Verdict, Who, setting};
use super::{Found, Reader};
use crate::cli;

/// Adds the services of a file and of those that it includes, which `reader` reads.
///
/// # Errors
/// A line that cannot be read.
pub(super) fn read(
    file: &[u8],
    text: &[u8],
    reader: &mut Reader<'_>,
    found: &mut Found,
) -> Result<(), Fault> {
    let mut blocks = blocks::read(file, text, reader)?;
    found.left_out.append(&mut blocks.notes);
    for entry in &blocks.services {
        entry.convert(&blocks.defaults, found)?;
    }
    Ok(())
}

impl Entry {
    /// Adds the service, or why it is left out.
    fn convert(&self, defaults: &Block, found: &mut Found) -> Result<(), Fault> {
        let attribute = |name: &str| self.block.get(name).or_else(|| defaults.get(name));
        if let Some(why) = self.obstacle()? {
            let text = format!("{}: {why}", shown(&self.name));
            found.left_out.push(Note::missing(self.place.clone(), text));
            return Ok(());
        }
        let id = attribute("id").map_or(Ok(&self.name[..]), Attribute::one)?;
        let mut made = Service::new(id, &self.place, None);
        made.notes.extend(self.notes.iter().cloned());
        let mut server = Server::default();
        let daemon = if !self.block.has("type", b"INTERNAL") {
            self.program(id, &mut server)?
        } else if server.run_internal(&self.name) {
            id.to_vec()
        } else {
            let text = format!("{}: no internal service of that name", shown(&self.name));
            let note = Note::missing(self.place.clone(), text);
            found.left_out.push(note);
            return Ok(());
        };
        server.port = match attribute("port") {
            Some(port) => port
                .number("port")
                .map(|port| port.to_string().into_bytes())?,
            None => self.name.clone(),
        };
        server.host = self.host(defaults)?;
        let listed = |name: &str| {
            let list = defaults.get(name);
            list.map(|list| list.values.iter().any(|(known, _)| known == id))
        };
        let is_disabled = attribute("disable").map_or(Ok(false), Attribute::yes)?;
        // `enabled` is the last word of what `disable` says, and `disabled` that of both.
        made.is_enabled =
            listed("enabled").unwrap_or(!is_disabled) && listed("disabled") != Some(true);
        let wraps = !self.block.has("flags", b"NOLIBWRAP");
        made.daemon = wraps.then_some(daemon);
        if server.host == b"::" {
            made.statements.push(Statement::no_ipv4(&self.place));
        }
        let access = self.access(&mut made);
        made.statements.extend(access);
        self.attributes(defaults, &mut server, &mut made)?;
        made.server = Some(server);
        found.add(made)?;
        Ok(())
    }

    /// Why tcpserver cannot serve it, if so.
    fn obstacle(&self) -> Result<Option<String>, Fault> {
        let is = |name: &str, value: &[u8]| self.block.has(name, value);
        let no_equal = |what: &str| Ok(Some(format!("{what} has no equal")));
        for kind in ["RPC", "TCPMUX", "TCPMUXPLUS"] {
            if is("type", kind.as_bytes()) {
                return no_equal(kind);
            }
        }
        if is("flags", b"SENSOR") {
            return no_equal("SENSOR");
        }
        let mut needed = vec!["socket_type", "wait"];
        if !is("type", b"INTERNAL") {
            needed.push("user");
            if self.block.get("redirect").is_none() {
                needed.push("server");
            }
            if is("type", b"UNLISTED") {
                needed.extend(["protocol", "port"]);
            }
        }
        let is_missing = |name: &&str| self.block.get(name).is_none();
        if let Some(name) = needed.into_iter().find(is_missing) {
            return Ok(Some(format!(
                "without {name} xinetd does not start it either"
            )));
        }
        for (name, served) in [("socket_type", &b"stream"[..]), ("protocol", b"tcp")] {
            if let Some(attribute) = self.block.get(name)
                && attribute.one()? != served
            {
                return no_equal(&format!("{name} {}", shown(attribute.one()?)));
            }
        }
        if self.block.get("wait").map_or(Ok(false), Attribute::yes)? {
            return no_equal("wait = yes, for which the program accepts,");
        }
        Ok(None)
    }

    /// Says what to run, and gives its name for hosts.allow.
    fn program(&self, id: &[u8], server: &mut Server) -> Result<Vec<u8>, Fault> {
        if let Some(redirect) = self.block.get("redirect") {
            server.remote = Some(remote(redirect)?);
            return Ok(id.to_vec());
        }
        let program = self
            .block
            .get("server")
            .map_or(Ok(&b""[..]), Attribute::one)?;
        let words = self
            .block
            .get("server_args")
            .map_or(&[][..], |arguments| &arguments.values);
        let words: Vec<&[u8]> = words.iter().map(|(word, _)| &word[..]).collect();
        if !self.block.has("flags", b"NAMEINARGS") {
            let words = [&[last_part(program)], &words[..]].concat();
            server.run(program, &words);
            return Ok(last_part(program).to_vec());
        }
        let name = words.first().copied().unwrap_or(program);
        let wrapped = wrapped(program, &words);
        server.run(wrapped.as_deref().unwrap_or(program), &words);
        Ok(last_part(name).to_vec())
    }

    fn host(&self, defaults: &Block) -> Result<Vec<u8>, Fault> {
        let bound = ["bind", "interface"]
            .into_iter()
            .find_map(|name| self.block.get(name));
        let bound = bound
            .or_else(|| defaults.get("bind"))
            .or_else(|| defaults.get("interface"));
        if let Some(bound) = bound {
            return Ok(bound.one()?.to_vec());
        }
        let six_only = self.block.get("v6only").or_else(|| defaults.get("v6only"));
        let six_only = six_only.map_or(Ok(false), Attribute::yes)?;
        let host: &[u8] = match self.block.has("flags", b"IPv6") {
            true if six_only => b"::",
            true => b":0",
            false => b"0",
        };
        Ok(host.to_vec())
    }

    /// Who is served: nobody on `no_access`, and of `only_from` nobody else.
    fn access(&self, made: &mut Service) -> Vec<Statement> {
        let mut list = |name: &str| {
            let attribute = self.block.get(name)?;
            let patterns = attribute.values.iter().flat_map(|(value, place)| {
                let patterns = clients(value);
                for pattern in &patterns {
                    if !pattern.is_exact() {
                        let text =
                            format!("{name} {}: no address that rules can say", shown(value));
                        made.missing(place, text);
                    }
                }
                patterns
            });
            Some((patterns.collect(), attribute.place.clone()))
        };
        let mut statements = Vec::new();
        if let Some((patterns, place)) = list("no_access") {
            statements.push(Statement::new(patterns, Verdict::Deny, place));
        }
        if let Some((patterns, place)) = list("only_from") {
            let everybody = vec![Pattern::exactly(Who::Everybody)];
            let lists = vec![everybody, patterns];
            statements.push(Statement {
                lists,
                verdict: Verdict::Deny,
                place,
            });
        }
        statements
    }

    /// Takes away what is about a program, where there is none.
    fn nothing_to_run(&self, server: &mut Server, made: &mut Service) {
        if server.greeting.take().is_some() {
            made.missing(&self.place, "banner_success: no equal with redirect");
        }
        if !server.limits.is_empty() || !server.environment.is_empty() {
            made.different(
                &self.place,
                "env, rlimit_*: with redirect, there is no program",
            );
        }
        server.limits.clear();
        server.environment.clear();
        server.passed = None;
    }

    fn attributes(
        &self,
        defaults: &Block,
        server: &mut Server,
        made: &mut Service,
    ) -> Result<(), Fault> {
        for (name, attribute) in self.block.with(defaults) {
            apply(name, attribute, server, made)?;
        }
        if server.remote.is_some() {
            self.nothing_to_run(server, made);
        }
        if server.limit.is_none() {
            made.different(
                &self.place,
                "instances: no limit there; here 40 at the same time (-c), and more wait",
            );
        }
        Ok(())
    }
}

/// `redirect = host port`, as an operand of tcprelay.
fn remote(redirect: &Attribute) -> Result<Vec<u8>, Fault> {
    let [(host, _), (port, _)] = &redirect.values[..] else {
        return Err(Fault::at(&redirect.place, "a host and a port"));
    };
    // A slash would begin a key.
    if host.is_empty() || host.iter().chain(port).any(|byte| b"/\\[]".contains(byte)) {
        return Err(Fault::at(&redirect.place, "a host and a port"));
    }
    let is_v6 = host.contains(&b':');
    let (open, close): (&[u8], &[u8]) = if is_v6 { (b"[", b"]") } else { (b"", b"") };
    Ok([open, host, close, b":", port].concat())
}

/// Does what one attribute says, of those that are not yet done.
fn apply(
    name: &[u8],
    attribute: &Attribute,
    server: &mut Server,
    made: &mut Service,
) -> Result<(), Fault> {
    let place = &attribute.place;
    let values = || attribute.values.iter().map(|(value, _)| &value[..]);
    let said = || shown(&[name, b" = ", &values().collect::<Vec<_>>().join(&b' ')].concat());
    match name {
        b"socket_type" | b"protocol" | b"wait" | b"server" | b"server_args" | b"type" | b"id"
        | b"port" | b"bind" | b"interface" | b"v6only" | b"disable" | b"enabled" | b"disabled"
        | b"redirect" | b"only_from" | b"no_access" | b"mdns" | b"deny_time" | b"rpc_version"
        | b"rpc_number" => {}
        b"user" => server.set_user(attribute.one()?),
        b"group" => server.group = Some(attribute.one()?.to_vec()),
        b"groups" => {
            if attribute.yes()? {
                made.missing(
                    place,
                    format!("{}: no equal; the program has its group alone", said()),
                );
            }
        }
        b"instances" => {
            server.limit = attribute.limit("instances")?.filter(|&limit| limit > 0);
            if let Some(limit) = server.limit {
                made.different(
                    place,
                    format!("{}: more than {limit} wait, and are not refused", said()),
                );
            }
        }
        b"per_source" => {
            if let Some(limit) = attribute.limit("per_source")? {
                server
                    .options
                    .push(format!("--source-limit={limit}").into_bytes());
            }
        }
        b"cps" => cps(attribute, server, made)?,
        b"max_load" => {
            let load = attribute.one()?;
            let hundredths = hundredths(load);
            let hundredths =
                hundredths.ok_or_else(|| Fault::at(place, not_a_number("max_load", load)))?;
            if hundredths > 0 {
                made.settings
                    .extend(setting(b"MAXLOAD", hundredths.to_string().as_bytes()));
                server.options.push(b"--rule-limits".to_vec());
            }
        }
        b"nice" => server.nice = Some(attribute.one()?.to_vec()),
        b"umask" => server.umask = Some(attribute.one()?.to_vec()),
        b"banner" => server.banner = Some(attribute.one()?.to_vec()),
        b"banner_success" => server.greeting = Some(attribute.one()?.to_vec()),
        b"banner_fail" => server.refusal = Some(attribute.one()?.to_vec()),
        b"env" => {
            for value in values() {
                if !value.contains(&b'=') || value.starts_with(b"=") {
                    return Err(Fault::at(place, "name=value"));
                }
                server.environment.push(value.to_vec());
            }
        }
        b"passenv" => {
            let names = values().filter(|name| is_variable(name));
            server.passed = Some(names.map(<[u8]>::to_vec).collect());
        }
        b"access_times" => made.missing(
            place,
            format!("{}: no equal; it is served at all times", said()),
        ),
        b"log_type" => made.different(place, format!("{}: log/run has the log", said())),
        b"log_on_success" | b"log_on_failure" => {
            server.ident |= values().any(|value| value == b"USERID");
            if values().any(|value| value == b"TRAFFIC") {
                made.missing(place, "TRAFFIC: bytes are not counted");
            }
            if values().any(|value| value == b"DURATION") {
                made.different(place, "DURATION: the times of the log's lines tell it");
            }
        }
        b"flags" => {
            for flag in values() {
                match flag {
                    b"IPv4" | b"IPv6" | b"NOLIBWRAP" | b"NAMEINARGS" | b"REUSE" => {}
                    b"NODELAY" => server.options.push(b"-D".to_vec()),
                    b"NORETRY" => {
                        made.different(place, "NORETRY: a fork that fails is never tried again")
                    }
                    b"IDONLY" => {
                        made.missing(
                            place,
                            "IDONLY: no equal; who has no ident server is served, too",
                        );
                    }
                    _ => made.missing(place, format!("flag {}: no equal", shown(flag))),
                }
            }
        }
        b"libwrap" => {
            made.daemon = made
                .daemon
                .take()
                .map(|_| attribute.one().map(<[u8]>::to_vec))
                .transpose()?
        }
        _ => match resource(name) {
            Some(resource) => {
                if attribute.one()? != b"UNLIMITED" {
                    let bytes = bytes(attribute.one()?);
                    let bytes =
                        bytes.ok_or_else(|| Fault::at(place, "a number, perhaps with K or M"))?;
                    server
                        .limits
                        .push((resource, bytes.to_string().into_bytes()));
                }
            }
            None => made.missing(place, format!("{}: no attribute that is known", said())),
        },
    }
    Ok(())
}

/// Connections a second, and for how long the service is off above that.
fn cps(attribute: &Attribute, server: &mut Server, made: &mut Service) -> Result<(), Fault> {
    let numbers: Option<Vec<u32>> = attribute
        .values
        .iter()
        .map(|(value, _)| cli::number(value))
        .collect();
    let Some([rate, wait]) = numbers.as_deref() else {
        return Err(Fault::at(
            &attribute.place,
            "two numbers: connections a second, and seconds",
        ));
    };
    if *rate > 0 {
        server.options.push(format!("--rate={rate}/1").into_bytes());
        let text = format!(
            "cps = {rate} {wait}: more than {rate} a second wait; xinetd turned the service off for {wait} seconds"
        );
        made.different(&attribute.place, text);
    }
    Ok(())
}

fn resource(name: &[u8]) -> Option<Resource> {
    Some(match name.strip_prefix(b"rlimit_")? {
        b"as" => Resource::AddressSpace,
        b"cpu" => Resource::Cpu,
        b"data" => Resource::Data,
        b"rss" => Resource::Resident,
        b"stack" => Resource::Stack,
        b"files" => Resource::Files,
        _ => return None,
    })
}

/// `8M`, `16K`, `4096`.
fn bytes(text: &[u8]) -> Option<u64> {
    let (digits, unit) = match text {
        [digits @ .., b'k' | b'K'] => (digits, 1 << 10),
        [digits @ .., b'm' | b'M'] => (digits, 1 << 20),
        _ => (text, 1),
    };
    Some(u64::from(cli::number(digits)?) * unit)
}

/// A load in hundredths: `2`, `2.5`.
fn hundredths(text: &[u8]) -> Option<u32> {
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let whole = match parts.next()? {
        b"" => 0,
        whole => cli::number(whole)?,
    };
    let fraction = parts.next().unwrap_or_default();
    let padded: Vec<u8> = fraction.iter().copied().chain(*b"00").take(2).collect();
    cli::number(fraction).or(fraction.is_empty().then_some(0))?;
    whole.checked_mul(100)?.checked_add(cli::number(&padded)?)
}

/// What a shell can have as a variable.
fn is_variable(name: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !name.is_empty() && !name[0].is_ascii_digit() && name.iter().all(is_part)
}
