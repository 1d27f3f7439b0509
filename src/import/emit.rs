//! Services as folders for a supervisor, and as lines for people.
//!
//! Whatever the supervisor, `run` starts the service, from the folder that it is in. The shell scripts keep shellcheck
//! silent.

use super::report::shown;
use super::service::{Resource, Server, Service};
use crate::cli::shell;

/// Which supervisor is to run the folders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// daemontools.
    #[default]
    Daemontools,
    /// runit.
    Runit,
    /// s6.
    S6,
    /// A unit of systemd that starts `run`.
    Systemd,
    /// A script of OpenRC that has supervise-daemon start `run`.
    Openrc,
}

impl Style {
    /// The style of this name.
    pub fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"daemontools" => Self::Daemontools,
            b"runit" => Self::Runit,
            b"s6" => Self::S6,
            b"systemd" => Self::Systemd,
            b"openrc" => Self::Openrc,
            _ => return None,
        })
    }

    /// What `log/run` does when nothing else is said; nothing where the supervisor has the log.
    fn logs(self, name: &str) -> String {
        let main =
            |run: &str| format!("mkdir -p main && chown daemon main || exit\nexec {run} ./main\n");
        match self {
            Self::Daemontools => main("setuidgid daemon multilog t s100000 n10"),
            Self::Runit => main("chpst -u daemon svlogd -tt"),
            Self::S6 => main("s6-setuidgid daemon s6-log -b n10 s100000 T"),
            Self::Systemd => String::new(),
            Self::Openrc => format!("exec logger -t {name}\n"),
        }
    }

    /// Whether the supervisor itself runs `log/run`.
    fn runs_logs(self) -> bool {
        matches!(self, Self::Daemontools | Self::Runit | Self::S6)
    }

    /// The words that set a limit, before the program.
    fn limit(self, resource: Resource, value: &[u8]) -> Vec<Vec<u8>> {
        let (letter, name) = match resource {
            Resource::AddressSpace => ("-a", "--as"),
            Resource::Cpu => ("-t", "--cpu"),
            Resource::Data => ("-d", "--data"),
            Resource::Resident => ("-r", "--rss"),
            Resource::Stack => ("-s", "--stack"),
            Resource::Files => ("-o", "--nofile"),
        };
        match self {
            Self::Daemontools | Self::S6 => vec![letter.into(), value.to_vec()],
            Self::Runit | Self::Systemd | Self::Openrc => {
                vec![[name.as_bytes(), b"=", value].concat()]
            }
        }
    }

    /// The program that [`Self::limit`] speaks to.
    fn limiter(self) -> &'static str {
        match self {
            Self::Daemontools => "softlimit",
            Self::S6 => "s6-softlimit",
            Self::Runit | Self::Systemd | Self::Openrc => "prlimit",
        }
    }
}

/// A file to write.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// Its path within the folder of the service.
    pub path: String,
    /// It is to be run.
    pub is_program: bool,
    /// All that is in it.
    pub text: Vec<u8>,
}

/// The files in the folder of a service, which will be `folder/NAME` (an absolute path). `logs` is the command that
/// reads the log, in place of the supervisor's own.
pub fn files(service: &Service, style: Style, logs: Option<&[u8]>, folder: &[u8]) -> Vec<Written> {
    let name = &service.name;
    let mut files = Vec::new();
    let mut add = |path: &str, is_program: bool, text: Vec<u8>| {
        let path = path.to_owned();
        files.push(Written {
            path,
            is_program,
            text,
        });
    };
    if let Some(server) = &service.server {
        let here = [folder, b"/", name.as_bytes()].concat();
        let logs = logs.map(|command| [b"exec ", command, b"\n"].concat());
        let logs = logs.unwrap_or_else(|| style.logs(name).into());
        add("run", true, run(service, server, style, !logs.is_empty()));
        if !logs.is_empty() {
            add("log/run", true, [&b"#!/bin/sh\n"[..], &logs].concat());
        }
        match style {
            Style::S6 => add("notification-fd", false, b"3\n".to_vec()),
            Style::Systemd => add(&format!("{name}.service"), false, unit(service, &here)),
            Style::Openrc => add(name, true, openrc(service, &here)),
            Style::Daemontools | Style::Runit => {}
        }
        if !service.is_enabled {
            add("down", false, Vec::new());
        }
    }
    if !service.rules.is_empty() {
        add("rules", false, service.rules.clone());
    }
    add("NOTES", false, notes(service));
    files
}

/// `run`.
fn run(service: &Service, server: &Server, style: Style, has_logs: bool) -> Vec<u8> {
    let mut text = format!(
        "#!/bin/sh\n# {}, from {}. NOTES says what is different.\n",
        service.name, service.place
    );
    if has_logs && !style.runs_logs() {
        text += "cd log && rm -f pipe && mkfifo -m 600 pipe || exit\n./run < pipe > /dev/null 2>&1 &\nexec > pipe && cd .. || exit\n";
    }
    text += "exec 2>&1\n";
    if !service.rules.is_empty() {
        text += "tcprules rules.cdb rules.tmp < rules || exit\n";
    }
    let mut text = text.into_bytes();
    prelude(server, &mut text);
    text.extend_from_slice(b"exec ");
    command(service, server, style, &mut text);
    if style == Style::S6 {
        text.extend_from_slice(b" 1>&3 3>&-");
    }
    text.push(b'\n');
    text
}

/// What a shell does before it starts tcpserver.
fn prelude(server: &Server, text: &mut Vec<u8>) {
    if let Some(mask) = &server.umask {
        text.extend_from_slice(b"umask ");
        shell::push(text, mask);
        text.push(b'\n');
    }
    for (variable, file) in [("banner", &server.banner), ("refusal", &server.refusal)] {
        if let Some(file) = file {
            // A shell drops line feeds at the end, so something else has to stand there.
            text.extend_from_slice(format!("{variable}=$(cat ").as_bytes());
            shell::push(text, file);
            text.extend_from_slice(b" && echo .) || exit\n");
        }
    }
}

/// The command line of what listens, and that of what it runs.
fn command(service: &Service, server: &Server, style: Style, text: &mut Vec<u8>) {
    if let Some(passed) = &server.passed {
        text.extend_from_slice(b"env -i PATH=\"$PATH\" ");
        for name in passed.iter().filter(|name| *name != b"PATH") {
            // Only what is set.
            let name = shown(name);
            text.extend_from_slice(format!("${{{name}+{name}=\"${name}\"}} ").as_bytes());
        }
    }
    if let Some(nice) = &server.nice {
        text.extend_from_slice(b"nice -n ");
        shell::push(text, nice);
        text.push(b' ');
    }
    let mut words: Vec<Vec<u8>> = vec![service.listener().into()];
    words.push(if style == Style::S6 {
        b"-1v".to_vec()
    } else {
        b"-v".to_vec()
    });
    let letters = [
        if server.ident { "" } else { "R" },
        if server.names { "p" } else { "H" },
        "l0",
    ];
    words.push(format!("-{}", letters.concat()).into());
    let number = |number: Option<u32>| number.map(|number| number.to_string().into_bytes());
    let (user, group) = server.account();
    let options = [
        ("-c", number(server.limit)),
        ("-b", number(server.backlog)),
        ("-u", user),
        ("-g", group),
        (
            "-x",
            (!service.rules.is_empty()).then(|| b"rules.cdb".to_vec()),
        ),
    ];
    for (letter, value) in options {
        if let Some(value) = value {
            words.extend([letter.into(), value]);
        }
    }
    let mut options = server.options.clone();
    options.sort();
    options.dedup();
    words.append(&mut options);
    text.extend_from_slice(&line(&words));
    if server.banner.is_some() {
        text.extend_from_slice(b" -B \"${banner%??}\"");
    }
    if server.refusal.is_some() {
        text.extend_from_slice(b" --refusal=\"${refusal%??}\"");
    }
    text.push(b' ');
    text.extend_from_slice(&line(&[server.host.clone(), server.port.clone()]));
    text.extend_from_slice(b" \\\n  ");
    text.extend_from_slice(&match &server.remote {
        Some(remote) => line(std::slice::from_ref(remote)),
        None => line(&program(server, style)),
    });
}

/// The program, behind what prepares its life.
fn program(server: &Server, style: Style) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    if !server.limits.is_empty() {
        words.push(style.limiter().into());
        for (resource, value) in &server.limits {
            words.extend(style.limit(*resource, value));
        }
    }
    if !server.environment.is_empty() {
        words.push(b"env".to_vec());
        words.extend(server.environment.iter().cloned());
    }
    if let Some(folder) = &server.folder {
        words.extend(before("cd \"$0\" && exec \"$@\"", folder));
    }
    if let Some(file) = &server.greeting {
        words.extend(before("cat \"$0\"; exec \"$@\"", file));
    }
    words.extend(server.program.iter().cloned());
    words
}

/// A shell that does something with `operand`, and then becomes what follows.
fn before(script: &str, operand: &[u8]) -> [Vec<u8>; 4] {
    [
        b"sh".to_vec(),
        b"-c".to_vec(),
        script.into(),
        operand.to_vec(),
    ]
}

fn line(words: &[Vec<u8>]) -> Vec<u8> {
    shell::line(words.iter().map(Vec::as_slice))
}

/// The unit of systemd that starts `here`/run.
fn unit(service: &Service, here: &[u8]) -> Vec<u8> {
    let plain: Vec<u8> = here
        .iter()
        .flat_map(|&byte| {
            if byte == b'%' {
                vec![b'%'; 2]
            } else {
                vec![byte]
            }
        })
        .collect();
    let mut quoted = Vec::new();
    for &byte in &plain {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', byte]),
            b'$' => quoted.extend(b"$$"),
            _ => quoted.push(byte),
        }
    }
    let head = format!(
        "# {0}, from {1}. NOTES says what is different.\n[Unit]\nDescription={0}, by {2}\n\
         Documentation=man:{2}(1)\nAfter=network.target\n\n[Service]\nType=exec\nWorkingDirectory=",
        service.name,
        service.place,
        service.listener()
    );
    // Programs that run at a stop go on, as under the other supervisors.
    let tail =
        "/run\"\nKillMode=process\nRestart=on-failure\n\n[Install]\nWantedBy=multi-user.target\n";
    [
        head.as_bytes(),
        &plain,
        b"\nExecStart=\"",
        &quoted,
        tail.as_bytes(),
    ]
    .concat()
}

/// The script of OpenRC that has supervise-daemon start `here`/run.
fn openrc(service: &Service, here: &[u8]) -> Vec<u8> {
    let mut text = format!(
        "#!/sbin/openrc-run\n# {0}, from {1}. NOTES says what is different.\n\
         # shellcheck shell=sh disable=SC2034\ndescription='{0}, by {2}'\nsupervisor=supervise-daemon\n",
        service.name,
        service.place,
        service.listener()
    )
    .into_bytes();
    for (variable, path) in [
        ("directory", here.to_vec()),
        ("command", [here, b"/run"].concat()),
    ] {
        // Its words are read twice: there is an eval.
        text.extend_from_slice(format!("{variable}=").as_bytes());
        shell::push(&mut text, &shell::line([&path[..]]));
        text.push(b'\n');
    }
    text.extend_from_slice(b"\ndepend() {\n  need net\n}\n");
    text
}

/// `NOTES`.
fn notes(service: &Service) -> Vec<u8> {
    let mut text = format!("{}, from {}\n", service.name, service.place);
    let mut list = |title: &str, is_missing: bool| {
        let notes = service
            .notes
            .iter()
            .filter(|note| note.is_missing == is_missing);
        let notes: String = notes.map(|note| format!("  {note}\n")).collect();
        if !notes.is_empty() {
            text += &format!("\n{title}\n{notes}");
        }
    };
    list("Without an equal, and left out:", true);
    list("Different:", false);
    if let Some(server) = &service.server {
        if server.remote.is_none() {
            text += EVERYWHERE;
        }
    } else {
        text += "\nOnly rules: compile them by tcprules, and give them to tcpserver -x.\n";
    }
    if !service.is_enabled {
        text += "\nIt was disabled: do not start it.\n";
    }
    text.into_bytes()
}

const EVERYWHERE: &str = "
Everywhere:
  What the program writes to descriptor 2 is in the log, and not sent to the client.
  The program starts in this folder, with the environment that the supervisor gives and TCP* for the connection.
";

/// The same as lines for people, which are a shell's, too: what is no command is a comment.
pub fn commands(service: &Service, style: Style) -> Vec<u8> {
    let mut text = format!("# {}, from {}\n", service.name, service.place);
    for note in &service.notes {
        let what = if note.is_missing {
            "missing"
        } else {
            "different"
        };
        text += &format!("# {what}: {note}\n");
    }
    let mut text = text.into_bytes();
    let mut body = Vec::new();
    if let Some(server) = &service.server {
        if !service.rules.is_empty() {
            body.extend_from_slice(b"tcprules rules.cdb rules.tmp <<'END' || exit\n");
            body.extend_from_slice(&service.rules);
            body.extend_from_slice(b"END\n");
        }
        prelude(server, &mut body);
        command(service, server, style, &mut body);
        body.push(b'\n');
    } else {
        body.extend_from_slice(&service.rules);
    }
    let is_command = service.server.is_some() && service.is_enabled;
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        if !is_command {
            text.extend_from_slice(b"#: ");
        }
        text.extend_from_slice(line);
    }
    text
}
