//! What `-d` writes, in each style.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ucspi_tcp::rules::parse;

use super::cases::Files;
use super::skip;

const STYLES: [&str; 5] = ["daemontools", "runit", "s6", "systemd", "openrc"];

/// All cases, written in all styles.
struct Written {
    files: Files,
}

impl Written {
    fn new() -> Self {
        let files = Files::new();
        for (kind, name) in files.cases() {
            for style in STYLES {
                let option = format!("--style={style}");
                let folder = format!("../made/{style}/{kind}/{name}");
                let output = files.run(kind, &["-d", &folder, &option, &name]);
                let status = output.status.code();
                assert!(matches!(status, Some(0 | 1)), "{kind}/{name}: {output:?}");
                assert_eq!(output.stdout, b"", "{kind}/{name}");
            }
        }
        Self { files }
    }

    /// Style, and folder, of each service.
    fn services(&self) -> Vec<(&'static str, PathBuf)> {
        let mut found = Vec::new();
        for style in STYLES {
            for kind in entries(&self.files.path().join("made").join(style)) {
                for case in entries(&kind) {
                    found.extend(entries(&case).into_iter().map(|service| (style, service)));
                }
            }
        }
        assert!(found.len() > 300, "{}", found.len());
        found
    }
}

#[test]
fn services_are_folders_of_what_their_supervisor_needs() {
    let written = Written::new();
    for (style, service) in written.services() {
        let name = name(&service);
        let mut found: BTreeSet<String> = below(&service)
            .iter()
            .map(|path| relative(path, &service))
            .collect();
        let is_server = found.contains("run");
        let mut expected = vec!["NOTES".to_owned()];
        if is_server {
            expected.push("run".to_owned());
            match style {
                "systemd" => expected.push(format!("{name}.service")),
                "openrc" => expected.extend([name.to_owned(), "log/run".to_owned()]),
                _ => expected.push("log/run".to_owned()),
            }
        }
        if is_server && style == "s6" {
            expected.push("notification-fd".to_owned());
        }
        for optional in ["rules", "down"] {
            found.remove(optional);
        }
        assert_eq!(
            found,
            expected.into_iter().collect(),
            "{}",
            service.display()
        );
    }
}

#[test]
fn scripts_are_programs_and_shellcheck_is_silent() {
    let written = Written::new();
    let mut scripts = Vec::new();
    for (_, service) in written.services() {
        for path in below(&service) {
            let text = fs::read_to_string(&path).expect("plain text");
            let mode = fs::metadata(&path)
                .expect("it is there")
                .permissions()
                .mode();
            assert_eq!(
                text.starts_with("#!"),
                mode & 0o111 == 0o111,
                "{}",
                path.display()
            );
            if text.starts_with("#!") {
                scripts.push(path);
            }
        }
    }
    // Without -d, what is printed is a script, too.
    for (kind, name) in written.files.cases() {
        let output = written.files.run(kind, &[&name]);
        let path = written.files.path().join(format!("{kind}.{name}.printed"));
        fs::write(&path, [b"#!/bin/sh\n", &output.stdout[..]].concat()).expect("our folder");
        scripts.push(path);
    }
    match Command::new("shellcheck").args(&scripts).output() {
        Err(_) => skip("there is no shellcheck"),
        Ok(output) => assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        ),
    }
}

#[test]
fn every_rule_is_one() {
    let written = Written::new();
    let mut count = 0;
    for (_, service) in written.services() {
        let rules = fs::read(service.join("rules")).unwrap_or_default();
        for line in rules.split_inclusive(|&byte| byte == b'\n') {
            let rule =
                parse(line).unwrap_or_else(|fault| panic!("{}: {fault:?}", service.display()));
            let is_comment = line.starts_with(b"#");
            assert_eq!(
                rule.is_none(),
                is_comment,
                "{}",
                String::from_utf8_lossy(line)
            );
            count += usize::from(!is_comment);
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn disabled_services_are_down() {
    let files = Files::new();
    for (style, kind, case, service) in [
        ("s6", "xinetd", "redhat", "ftp"),
        ("runit", "xinetd", "tcpd", "login"),
    ] {
        files.run(kind, &["-d", style, &format!("--style={style}"), case]);
        let folder = files.path().join(kind).join(style).join(service);
        assert!(folder.join("down").exists(), "{case}: {service}");
        let notes = fs::read_to_string(folder.join("NOTES")).expect("it is there");
        assert!(
            notes.ends_with("\nIt was disabled: do not start it.\n"),
            "{notes}"
        );
    }
}

#[test]
fn log_command_takes_the_place_of_the_supervisors_own() {
    let files = Files::new();
    let command = "--logs=logger -t 'it is'";
    files.run("inetd", &["-d", "made", command, "cvs-pserver"]);
    let made = files.path().join("inetd/made/cvspserver");
    let text = fs::read_to_string(made.join("log/run")).expect("it is there");
    assert_eq!(text, "#!/bin/sh\nexec logger -t 'it is'\n");
    // Where the supervisor does not run it, `run` does.
    for (style, count) in [("openrc", 1), ("systemd", 1), ("daemontools", 0)] {
        let option = format!("--style={style}");
        files.run("inetd", &["-d", style, &option, command, "cvs-pserver"]);
        let made = files.path().join("inetd").join(style).join("cvspserver");
        let text = fs::read_to_string(made.join("run")).expect("it is there");
        assert_eq!(text.matches("./run < pipe").count(), count, "{text}");
        let logs = fs::read_to_string(made.join("log/run")).expect("it is there");
        assert_eq!(logs, "#!/bin/sh\nexec logger -t 'it is'\n");
    }
}

#[test]
fn nothing_that_is_there_is_written_over() {
    let files = Files::new();
    let first = files.run("inetd", &["-d", "made", "git-daemon"]);
    assert_eq!(first.status.code(), Some(0));
    let made = files.path().join("inetd/made");
    fs::write(made.join("svn/run"), "mine\n").expect("our folder");
    for service in ["git", "rsync"] {
        fs::remove_dir_all(made.join(service)).expect("our folder");
    }
    let second = files.run("inetd", &["-d", "made", "git-daemon"]);
    assert_eq!(second.status.code(), Some(111));
    let said = "inetd2tcp: fatal: unable to create made/svn: file already exists\n";
    assert_eq!(String::from_utf8_lossy(&second.stderr), said);
    assert_eq!(
        fs::read_to_string(made.join("svn/run")).expect("it is there"),
        "mine\n"
    );
    assert!(!made.join("git").exists(), "nothing half done");
}

#[test]
fn wrong_words_are_said_in_one_line() {
    let files = Files::new();
    let folder = files.path().join("inetd");
    for (name, text, status, said) in [
        (
            "few",
            "smtp stream tcp nowait\n",
            100,
            "inetd2tcp: fatal: unable to parse few:1\ninetd2tcp: expected service, type, protocol, wait or nowait, user and program\n",
        ),
        (
            "type",
            "\n#\nsmtp strm tcp nowait root /x x\n",
            100,
            "inetd2tcp: fatal: unable to parse type:3\ninetd2tcp: expected stream, dgram, raw, rdm or seqpacket as the type\n",
        ),
        (
            "waits",
            "smtp stream tcp now root /x x\n",
            100,
            "inetd2tcp: fatal: unable to parse waits:1\ninetd2tcp: expected wait or nowait after the protocol\n",
        ),
        (
            "limit",
            "smtp stream tcp nowait.x root /x x\n",
            100,
            "inetd2tcp: fatal: unable to parse limit:1\ninetd2tcp: expected nowait.N, or nowait/N with up to three numbers\n",
        ),
        (
            "brace",
            "service smtp\nsocket_type = stream\n",
            100,
            "inetd2tcp: fatal: unable to parse brace:2\ninetd2tcp: expected \"{\" on a line of its own\n",
        ),
        (
            "open",
            "service smtp\n{\nwait = no\n",
            100,
            "inetd2tcp: fatal: unable to parse open:1\ninetd2tcp: expected \"}\" on a line of its own before the end\n",
        ),
        (
            "operator",
            "service smtp\n{\nwait=no\n}\n",
            100,
            "inetd2tcp: fatal: unable to parse operator:3\ninetd2tcp: expected an attribute, a blank, and one of = += -=\n",
        ),
        (
            "redirect",
            "service smtp\n{\nsocket_type = stream\nwait = no\nuser = root\nredirect = there\n}\n",
            100,
            "inetd2tcp: fatal: unable to parse redirect:6\ninetd2tcp: expected a host and a port\n",
        ),
        (
            "word",
            "service smtp\n{\n}\nserver smtp\n",
            100,
            "inetd2tcp: fatal: unable to parse word:4\ninetd2tcp: expected service, defaults, include or includedir\n",
        ),
        (
            "x.socket",
            "ListenStream=25\n",
            100,
            "inetd2tcp: fatal: unable to parse x.socket:1\ninetd2tcp: expected [section] before it\n",
        ),
        (
            "y.socket",
            "[Socket]\nAccept=perhaps\n",
            100,
            "inetd2tcp: fatal: unable to parse y.socket:2\ninetd2tcp: expected yes or no\n",
        ),
        (
            "loop",
            "include loop\n",
            100,
            "inetd2tcp: fatal: unable to parse loop:1\ninetd2tcp: expected files that include each other at most 16 deep\n",
        ),
        (
            "lost",
            "include nowhere\n",
            1,
            "inetd2tcp: lost:1: nowhere: file does not exist; nothing is included\n",
        ),
        (
            "control\u{1}.deny",
            "no\u{7} colon\n",
            1,
            "inetd2tcp: control?.deny:1: no colon: tcpd does not follow this line, nor do the rules\n",
        ),
        (
            "dash",
            "-v:smtp stream tcp nowait root /x x\n",
            1,
            "inetd2tcp: dash:1: -v: no address\n",
        ),
    ] {
        fs::write(folder.join(name), text).expect("our folder");
        let output = files.run("inetd", &[name]);
        assert_eq!(String::from_utf8_lossy(&output.stderr), said, "{name}");
        assert_eq!(output.status.code(), Some(status), "{name}");
    }
    let output = files.run("inetd", &["nowhere"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "inetd2tcp: fatal: unable to read nowhere: file does not exist\n"
    );
    assert_eq!(output.status.code(), Some(111));
    for words in [&[][..], &["--style=launchd", "git-daemon"]] {
        assert_eq!(
            files.run("inetd", words).status.code(),
            Some(100),
            "{words:?}"
        );
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("our folder").path())
        .collect();
    paths.sort();
    paths
}

/// All files in a folder and below it.
fn below(folder: &Path) -> Vec<PathBuf> {
    let (folders, files): (Vec<_>, Vec<_>) =
        entries(folder).into_iter().partition(|path| path.is_dir());
    files
        .into_iter()
        .chain(folders.iter().flat_map(|folder| below(folder)))
        .collect()
}

fn relative(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder)
        .expect("it is below")
        .display()
        .to_string()
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").display().to_string()
}
