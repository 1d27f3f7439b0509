//! A file of event-driven-servers as command lines: what tcprelay's own options can say of it, and what they cannot.
//!
//! It is what [`filed`](super::filed) makes of the same file, as far as one process with one listener can be that.

use super::config::{
    Access, Certificate, Config, Keepalive, Listen, Master, Mistake, Remote, Syslog,
};
use super::filed::{BACKLOG, INSTANCES_MAX, USERS_MAX};
use crate::dns::literal;
use crate::service::Overload;
use crate::tls::between::Entry;
use crate::tls::options::Versions;

/// What becomes of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// The command line of each listener.
    pub commands: Vec<Command>,
    /// Who may connect, in order; everybody when it is empty, and who is in none of it may not otherwise.
    pub access: Vec<Access>,
    /// What is not as it was, and what has no equal: for each, whether it is that, and a line.
    pub notes: Vec<(bool, Vec<u8>)>,
}

/// A command line of tcprelay.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// `file:line` of its listener.
    pub place: Vec<u8>,
    /// `tcprelay` and its options, but for `-x`.
    pub options: Vec<Vec<u8>>,
    /// Host, port and remotes.
    pub operands: Vec<Vec<u8>>,
}

/// The command lines for `config`, which `file` holds.
///
/// # Errors
/// There is no remote.
pub fn lines(file: &[u8], config: &Config) -> Result<Lines, Mistake> {
    let Config {
        master,
        relay,
        notes,
    } = config;
    let mut lines = Lines {
        access: master.access.clone(),
        notes: notes.iter().map(|note| (false, note.clone())).collect(),
        ..Lines::default()
    };
    if relay.remotes.is_empty() {
        let text = [file, b": Expected a remote, but there is none"].concat();
        return Err(Mistake(text));
    }
    let mut remotes = Vec::new();
    for remote in &relay.remotes {
        if remote.is_sctp {
            lines.missing(&remote.place, "a remote by SCTP");
        } else {
            remotes.push(operand(remote));
        }
    }
    lines.house(file, master, &relay.syslog);
    let options = options(config);
    for listen in &master.listens {
        let endpoint = lines.listener(listen, master);
        let Some(endpoint) = endpoint.filter(|_| !remotes.is_empty()) else {
            continue;
        };
        let backlog = listen.backlog.unwrap_or(BACKLOG);
        let backlog = [b"-b".to_vec(), backlog.to_string().into()];
        let tls = lines.tls(listen, &relay.tls);
        lines.commands.push(Command {
            place: listen.place.clone(),
            options: [&options[..], &backlog, &tls].concat(),
            operands: [&endpoint[..], &remotes].concat(),
        });
    }
    if lines.commands.len() > 1 {
        lines.different(
            file,
            "each listener is a process of its own, with a limit of its own",
        );
    }
    Ok(lines)
}

/// `host:port`, and the weight if it has one.
fn operand(remote: &Remote) -> Vec<u8> {
    let Remote {
        address,
        port,
        weight,
        ..
    } = remote;
    let has_colon = address.contains(&b':');
    let (open, close): (&[u8], &[u8]) = if has_colon { (b"[", b"]") } else { (b"", b"") };
    let mut operand = [open, address, close, b":", port].concat();
    if *weight != 1 {
        operand.extend_from_slice(format!("/weight={weight}").as_bytes());
    }
    operand
}

/// The options that are the same for all listeners.
fn options(config: &Config) -> Vec<Vec<u8>> {
    let Config { master, relay, .. } = config;
    let instances = if master.is_single {
        1
    } else {
        master.instances_max.unwrap_or(INSTANCES_MAX)
    };
    let limit = master
        .users_max
        .unwrap_or(USERS_MAX)
        .saturating_mul(instances);
    let mut options = vec![b"tcprelay".to_vec(), b"-RHDol0".to_vec()];
    let mut add = |words: &[&[u8]]| options.extend(words.iter().map(|word| word.to_vec()));
    add(&[b"-c", limit.to_string().as_bytes()]);
    for (letter, name) in [(b"-u", &master.user), (b"-g", &master.group)] {
        if let Some(name) = name {
            add(&[letter, name]);
        }
    }
    if master.is_sticky {
        add(&[b"--balance=hash"]);
    }
    if master.is_single {
        add(&[b"--threads=1"]);
    }
    match master.overload {
        Overload::Queue => {}
        Overload::Close => add(&[b"--overload=close"]),
        Overload::Reset => add(&[b"--overload=reset"]),
    }
    for (name, number) in [
        ("idle-timeout", relay.idle),
        ("rebalance", relay.rebalance),
        ("retire", relay.retire),
    ] {
        if number != 0 {
            add(&[format!("--{name}={number}").as_bytes()]);
        }
    }
    if let Some(local) = relay.local {
        add(&[format!("--local={local}").as_bytes()]);
    }
    options
}

impl Lines {
    fn missing(&mut self, place: &[u8], text: &str) {
        self.note(true, place, text);
    }

    fn different(&mut self, place: &[u8], text: &str) {
        self.note(false, place, text);
    }

    fn note(&mut self, is_missing: bool, place: &[u8], text: &str) {
        self.notes
            .push((is_missing, [place, b": ", text.as_bytes()].concat()));
    }

    /// Notes what the process as a whole does that a command line does not say.
    fn house(&mut self, file: &[u8], master: &Master, syslog: &Syslog) {
        if master.is_background == Some(true) {
            self.different(
                file,
                "background: it stays where it is started, for a supervisor",
            );
        }
        if master.pidfile.is_some() {
            self.missing(file, "pidfile: a supervisor knows the pid");
        }
        if master.folder.is_some() {
            self.different(file, "working directory: it is that of who starts it");
        }
        if master.syslog != Syslog::default() || *syslog != Syslog::default() {
            self.different(file, "syslog: the log is written to descriptor 2");
        }
        if master.keepalive != Keepalive::default() {
            self.missing(file, "tcp keepalive: the numbers are the system's");
        }
        if master.retry_delay != 0 {
            self.different(
                file,
                "bind retry delay: it ends, and a supervisor starts it again",
            );
        }
    }

    /// The options for the TLS of a listener; notes what there is none for.
    fn tls(&mut self, listen: &Listen, shown: &Certificate) -> Vec<Vec<u8>> {
        let place = &listen.place[..];
        let (mode, versions) = match listen.entry {
            Entry::Plain => return Vec::new(),
            Entry::Tls(versions) => ("--tls", versions),
            Entry::Either(versions) => ("--tls=detect", versions),
        };
        let mut options = vec![mode.into()];
        match &shown.file {
            None => self.missing(place, "tls: there is no tls cert-file"),
            Some(file) => options.push([b"--cert=", &file[..]].concat()),
        }
        options.extend(shown.key.as_ref().map(|key| [b"--key=", &key[..]].concat()));
        if shown.passphrase.is_some() {
            let text = "tls passphrase: put it in a file, for --passphrase-file";
            self.missing(&shown.place, text);
        }
        match versions {
            Versions::From12 => {}
            Versions::Only13 => options.push(b"--tls-min=1.3".to_vec()),
            Versions::Only12 => self.missing(place, "tls = TLSv1.2: it speaks 1.3 too"),
        }
        options
    }

    /// The host and the port of a listener, if there can be such; notes what else is said of it.
    fn listener(&mut self, listen: &Listen, master: &Master) -> Option<[Vec<u8>; 2]> {
        let place = &listen.place[..];
        let port = match (&listen.path, &listen.port) {
            (Some(_), _) => {
                self.missing(
                    place,
                    "path: it cannot listen at a UNIX socket; give it the file",
                );
                return None;
            }
            (None, None) => {
                self.missing(place, "a listener without a port");
                return None;
            }
            (None, Some(port)) => port.clone(),
        };
        if listen.is_sctp {
            self.missing(place, "protocol = SCTP: give it the file");
            return None;
        }
        if listen.dscp.is_some() {
            self.missing(place, "dscp");
        }
        if listen.device.is_some() {
            self.missing(place, "vrf: it listens in all");
        }
        if listen.keepalive != Keepalive::default() {
            self.missing(place, "tcp keepalive: the numbers are the system's");
        }
        if listen.retry_delay.is_some() && master.retry_delay == 0 {
            self.different(
                place,
                "bind retry delay: it ends, and a supervisor starts it again",
            );
        }
        // Both families at once.
        let host = listen.address.clone().unwrap_or_else(|| b":0".to_vec());
        if host.starts_with(b"-") {
            self.missing(place, "address: it would be an option");
            return None;
        }
        if listen.address.is_some() && literal::address(&host).is_none() {
            self.different(place, "address: of a name, only the first address");
        }
        Some([host, port])
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::config::{Files, Mistake, Sections, read};
    use super::lines;

    /// A file that is this text, whatever its name.
    struct One(String);

    impl Files for One {
        fn read(&self, _: &[u8]) -> io::Result<Vec<u8>> {
            Ok(self.0.clone().into())
        }

        fn matching(&self, _: &[u8]) -> Vec<Vec<u8>> {
            Vec::new()
        }
    }

    /// The command lines, then the notes, `-` before what is missing and `~` before what is different.
    fn said(master: &str, relay: &str) -> Vec<String> {
        let text = format!("id = spawnd {{ {master} }}\nid = tcprelay {{ {relay} }}\n");
        let config = read(&One(text), b"f", &Sections::default()).unwrap();
        let lines = match lines(b"f", &config) {
            Ok(lines) => lines,
            Err(Mistake(text)) => return vec![String::from_utf8(text).unwrap()],
        };
        let commands = lines.commands.iter().map(|command| {
            let words = [&command.options[..], &command.operands].concat();
            String::from_utf8(words.join(&b' ')).unwrap()
        });
        let notes = lines.notes.iter().map(|(is_missing, note)| {
            let sign = if *is_missing { "-" } else { "~" };
            format!("{sign} {}", String::from_utf8_lossy(note))
        });
        commands.chain(notes).collect()
    }

    const REMOTE: &str = "remote = { address = 10.0.0.1 port = 22 }";
    const LISTEN: &str = "listen = { address = 127.0.0.1 port = 2222 }";

    #[test]
    fn line_says_what_the_file_says() {
        for (master, relay, expected) in [
            (
                LISTEN,
                REMOTE,
                "tcprelay -RHDol0 -c 480 -b 128 127.0.0.1 2222 10.0.0.1:22",
            ),
            (
                "listen { port = 25 backlog = 7 }",
                REMOTE,
                "tcprelay -RHDol0 -c 480 -b 7 :0 25 10.0.0.1:22",
            ),
            (
                "listen { port = 25 } spawn { instances max = 2 users max = 30 userid = joe groupid = them } overload = reset",
                REMOTE,
                "tcprelay -RHDol0 -c 60 -u joe -g them --overload=reset -b 128 :0 25 10.0.0.1:22",
            ),
            (
                "listen { port = 25 } single process = yes sticky cache period = 60",
                "remote = { address = 2001:db8::1 port = smtp weight = 3 } remote = { address = mx port = 25 } \
                 idle timeout = 300 rebalance = 100 retire limit = 1000 local address = 10.0.0.2",
                "tcprelay -RHDol0 -c 60 --balance=hash --threads=1 --idle-timeout=300 --rebalance=100 --retire=1000 \
                 --local=10.0.0.2 -b 128 :0 25 [2001:db8::1]:smtp/weight=3 mx:25",
            ),
            (
                "listen { port = 25 tls = auto }",
                "remote = { address = mx port = 25 } tls cert-file = c tls key-file = k",
                "tcprelay -RHDol0 -c 480 -b 128 --tls=detect --cert=c --key=k :0 25 mx:25",
            ),
            (
                "listen { port = 25 tls = TLSv1.3 }",
                "remote = { address = mx port = 25 } tls cert-file = c",
                "tcprelay -RHDol0 -c 480 -b 128 --tls --cert=c --tls-min=1.3 :0 25 mx:25",
            ),
        ] {
            assert_eq!(said(master, relay), [expected]);
        }
    }

    #[test]
    fn what_a_line_cannot_say_is_noted() {
        let line = "tcprelay -RHDol0 -c 480 -b 128 127.0.0.1 2222 10.0.0.1:22";
        for (master, relay, notes) in [
            (
                "listen { path = /s } listen { port = 1 protocol = SCTP } listen { address = 127.0.0.1 }",
                "",
                &[
                    "- f:1: path: it cannot listen at a UNIX socket; give it the file",
                    "- f:1: protocol = SCTP: give it the file",
                    "- f:1: a listener without a port",
                ][..],
            ),
            (
                "background = yes pidfile = /p syslog ident = x tcp keepalive idle = 7 bind retry delay = 5",
                "remote = { address = a port = 1 protocol = SCTP }",
                &[
                    "- f:2: a remote by SCTP",
                    "~ f: background: it stays where it is started, for a supervisor",
                    "- f: pidfile: a supervisor knows the pid",
                    "~ f: syslog: the log is written to descriptor 2",
                    "- f: tcp keepalive: the numbers are the system's",
                    "~ f: bind retry delay: it ends, and a supervisor starts it again",
                ],
            ),
            (
                "proctitle = x spawn { working directory = / }",
                "",
                &[
                    "~ f:1: proctitle has no effect here",
                    "~ f: working directory: it is that of who starts it",
                ],
            ),
        ] {
            let expected: Vec<&str> = [line].into_iter().chain(notes.iter().copied()).collect();
            let (master, relay) = (format!("{LISTEN} {master}"), format!("{REMOTE} {relay}"));
            assert_eq!(said(&master, &relay), expected);
        }
        assert_eq!(
            said(
                "listen { port = 1 tls = TLSv1.2 }",
                &format!("{REMOTE} tls passphrase = p")
            )[1..],
            [
                "- f:1: tls: there is no tls cert-file",
                "- f:2: tls passphrase: put it in a file, for --passphrase-file",
                "- f:1: tls = TLSv1.2: it speaks 1.3 too",
            ]
        );
        let two = said(
            "listen { port = 1 } listen { address = localhost port = 2 dscp = 8 vrf = v }",
            REMOTE,
        );
        assert_eq!(two.len(), 6, "{two:?}");
        assert!(two[5].ends_with("each listener is a process of its own, with a limit of its own"));
        assert_eq!(
            said(LISTEN, ""),
            ["f: Expected a remote, but there is none"]
        );
    }
}
