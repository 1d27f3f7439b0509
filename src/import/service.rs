//! One service, as the other super-server has it and as tcpserver can run it.

use super::report::{Note, Place, shown};
use super::statement::Statement;

/// A service that becomes a folder.
#[derive(Debug)]
pub struct Service {
    /// The folder's name: letters, digits, `.`, `_`, `-`, `@` and `+`, no two alike.
    pub name: String,
    /// Where it is described.
    pub place: Place,
    /// What listens and runs; nothing when only rules are known.
    pub(super) server: Option<Server>,
    /// What is asked of a client before all else.
    pub(super) statements: Vec<Statement>,
    /// The name under which hosts.allow and hosts.deny speak of it.
    pub(super) daemon: Option<Vec<u8>>,
    /// Added to the variables of each rule that allows.
    pub(super) settings: Vec<(Vec<u8>, Vec<u8>)>,
    /// False: it is there, but not started.
    pub(super) is_enabled: bool,
    /// The lines for tcprules; empty when everybody is served.
    pub(super) rules: Vec<u8>,
    /// What is different, and what is missing.
    pub notes: Vec<Note>,
}

impl Service {
    pub(super) fn new(name: &[u8], place: &Place, server: Option<Server>) -> Self {
        Self {
            name: folder_name(name),
            place: place.clone(),
            server,
            statements: Vec::new(),
            daemon: None,
            settings: Vec::new(),
            is_enabled: true,
            rules: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Which program of ours listens.
    pub(super) fn listener(&self) -> &'static str {
        let remote = self
            .server
            .as_ref()
            .and_then(|server| server.remote.as_ref());
        remote.map_or("tcpserver", |_| "tcprelay")
    }

    pub(super) fn missing(&mut self, place: &Place, text: impl Into<String>) {
        self.notes.push(Note::missing(place.clone(), text));
    }

    pub(super) fn different(&mut self, place: &Place, text: impl Into<String>) {
        self.notes.push(Note::different(place.clone(), text));
    }
}

/// A name without what could lead out of a folder, or mean something to a shell.
fn folder_name(name: &[u8]) -> String {
    let plain = |&byte: &u8| {
        let is_plain = byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
        char::from(if is_plain { byte } else { b'_' })
    };
    let name: String = name.iter().take(NAME_MAX).map(plain).collect();
    match name.as_bytes().first() {
        None | Some(b'.' | b'-') => format!("_{name}"),
        _ => name,
    }
}

/// Room for a number behind it, and a suffix, in the 255 bytes of a file's name.
const NAME_MAX: usize = 200;

/// tcpserver, and what it runs; or tcprelay, and where it carries.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) host: Vec<u8>,
    pub(super) port: Vec<u8>,
    /// The program, as tcpserver takes it.
    pub(super) program: Vec<Vec<u8>>,
    /// In its place: a remote of tcprelay.
    pub(super) remote: Option<Vec<u8>>,
    /// It is one that inetd has within itself, and needs no rights.
    pub(super) is_internal: bool,
    /// Nothing for root.
    pub(super) user: Option<Vec<u8>>,
    pub(super) group: Option<Vec<u8>>,
    /// Connections at the same time.
    pub(super) limit: Option<u32>,
    pub(super) backlog: Option<u32>,
    pub(super) ident: bool,
    pub(super) names: bool,
    /// Further options.
    pub(super) options: Vec<Vec<u8>>,
    /// Files: to everybody at once, to whom is served, to whom is refused.
    pub(super) banner: Option<Vec<u8>>,
    pub(super) greeting: Option<Vec<u8>>,
    pub(super) refusal: Option<Vec<u8>>,
    pub(super) umask: Option<Vec<u8>>,
    pub(super) nice: Option<Vec<u8>>,
    pub(super) limits: Vec<(Resource, Vec<u8>)>,
    pub(super) folder: Option<Vec<u8>>,
    /// Set for the program.
    pub(super) environment: Vec<Vec<u8>>,
    /// The only variables of ours that the program has.
    pub(super) passed: Option<Vec<Vec<u8>>>,
}

/// What a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    AddressSpace,
    Cpu,
    Data,
    Resident,
    Stack,
    Files,
}

impl Server {
    /// Runs `program` as it is meant to be called: `words` begin with its own name for itself.
    pub(super) fn run(&mut self, program: &[u8], words: &[&[u8]]) {
        let (name, arguments) = words
            .split_first()
            .map_or((program, words), |(name, rest)| (*name, rest));
        self.program = Vec::new();
        // Programs that look at their name look at its last part.
        if last_part(name) != last_part(program) {
            self.program
                .extend([b"argv0".to_vec(), program.to_vec(), name.to_vec()]);
        } else {
            self.program.push(program.to_vec());
        }
        self.program
            .extend(arguments.iter().map(|word| word.to_vec()));
    }

    pub(super) fn set_user(&mut self, user: &[u8]) {
        self.user = (!matches!(user, b"root" | b"0")).then(|| user.to_vec());
    }

    /// The user and the group to become, where root may stay root.
    pub(super) fn account(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        if self.is_internal {
            return (Some(b"nobody".to_vec()), None);
        }
        let is_root = |group: &Vec<u8>| matches!(&group[..], b"root" | b"wheel" | b"0");
        let group = self.group.clone();
        (
            self.user.clone(),
            group.filter(|group| self.user.is_some() || !is_root(group)),
        )
    }

    /// Whether both serve the same, be it at other addresses.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let parts = |server: &Self| {
            let (user, group) = (server.user.clone(), server.group.clone());
            (
                server.port.clone(),
                server.program.clone(),
                server.remote.clone(),
                user,
                group,
            )
        };
        parts(self) == parts(other)
    }

    /// One of the small services that inetd has within itself; false if it is none.
    pub(super) fn run_internal(&mut self, name: &[u8]) -> bool {
        let words: &[&str] = match name {
            b"echo" => &["cat"],
            b"discard" => &["sh", "-c", "exec cat >/dev/null"],
            b"daytime" => &["sh", "-c", DAYTIME],
            b"time" => &["sh", "-c", TIME],
            b"chargen" => &["awk", CHARGEN],
            _ => return false,
        };
        self.program = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        self.is_internal = true;
        true
    }
}

/// RFC 867, in the form of inetd.
const DAYTIME: &str = "LC_ALL=C date '+%a %b %e %H:%M:%S %Y' | addcr";
/// RFC 868: the seconds since 1900, as four bytes.
const TIME: &str = "t=$(($(date +%s) + 2208988800)); printf \"$(printf '\\\\%03o' $((t >> 24 & 255)) \
                    $((t >> 16 & 255)) $((t >> 8 & 255)) $((t & 255)))\"";
/// RFC 864: lines of 72 of the 95 printable characters, each beginning one character later.
const CHARGEN: &str = "BEGIN { for (i = 32; i < 127; i++) s = s sprintf(\"%c\", i); s = s s; \
                       for (;;) printf \"%s\\r\\n\", substr(s, n++ % 95 + 1, 72) }";

/// What follows the last slash.
pub(super) fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// What tcpd is told to run: the program, and the words of its command line. Nothing if `program` is not tcpd.
pub(super) fn wrapped(program: &[u8], words: &[&[u8]]) -> Option<Vec<u8>> {
    if last_part(program) != b"tcpd" {
        return None;
    }
    let name = words.first()?;
    // REAL_DAEMON_DIR of Debian's build.
    let folder: &[u8] = if name.contains(&b'/') {
        b""
    } else {
        b"/usr/sbin/"
    };
    Some([folder, name].concat())
}

/// A decimal number; the message names what it is.
pub(super) fn not_a_number(what: &str, text: &[u8]) -> String {
    format!("{what}: a number, not \"{}\"", shown(text))
}
