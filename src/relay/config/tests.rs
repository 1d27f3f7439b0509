//! The samples that are published, and every directive.

mod mistakes;

use std::collections::BTreeMap;
use std::io;

use super::{Access, Certificate, Config, Files, Listen, Mistake, Remote, Sections, read};
use crate::service::Overload;
use crate::sys::errno;
use crate::tls::between::Entry;
use crate::tls::options::Versions;

/// Files by name; a pattern is a name, or all that begin with what is before its star.
struct Made(BTreeMap<&'static str, String>);

impl Files for Made {
    fn read(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        let name = std::str::from_utf8(name).unwrap_or_default();
        let text = self.0.get(name);
        text.map(|text| text.clone().into_bytes())
            .ok_or_else(|| io::Error::from_raw_os_error(errno::ENOENT))
    }

    fn matching(&self, pattern: &[u8]) -> Vec<Vec<u8>> {
        let pattern = std::str::from_utf8(pattern).unwrap_or_default();
        let names = self.0.keys().filter(|name| match pattern.split_once('*') {
            Some((start, _)) => name.starts_with(start),
            None => **name == pattern,
        });
        if !pattern.contains('*') {
            return vec![pattern.as_bytes().to_vec()];
        }
        names.map(|name| name.as_bytes().to_vec()).collect()
    }
}

fn of(text: &str) -> Result<Config, String> {
    sections(text, &Sections::default())
}

fn sections(text: &str, sections: &Sections) -> Result<Config, String> {
    let files = Made(BTreeMap::from([("f", text.to_owned())]));
    read(&files, b"f", sections).map_err(said)
}

fn said(Mistake(text): Mistake) -> String {
    String::from_utf8_lossy(&text).into_owned()
}

/// A file with these directives in the two sections.
fn both(master: &str, relay: &str) -> Result<Config, String> {
    of(&format!(
        "id = spawnd {{ {master} }}\nid = tcprelay {{ {relay} }}\n"
    ))
}

fn listen(port: &str) -> Listen {
    Listen {
        port: Some(port.into()),
        place: b"f:1".to_vec(),
        ..Listen::default()
    }
}

fn master(text: &str) -> super::Master {
    both(text, "").unwrap().master
}

#[test]
fn sample_that_comes_with_the_program_is_read() {
    let config = of(
        "#!../../../sbin/tcprelay\nid = spawnd { listen = { address = 127.0.0.1 port = 2222 } background = no }\n\
         id = tcprelay { remote = { address = 127.0.0.1 port = 22 } }\n#id = spawnd { listen = { tls = yes }\n",
    )
    .unwrap();
    let place = Listen {
        address: Some(b"127.0.0.1".to_vec()),
        place: b"f:2".to_vec(),
        ..listen("2222")
    };
    assert_eq!(config.master.listens, [place]);
    assert_eq!(config.master.is_background, Some(false));
    let remote = Remote {
        address: b"127.0.0.1".to_vec(),
        port: b"22".to_vec(),
        is_sctp: false,
        weight: 1,
        place: b"f:3".to_vec(),
    };
    assert_eq!(config.relay.remotes, [remote]);
    assert_eq!(config.notes, [b""; 0]);
}

#[test]
fn sample_of_the_manual_is_read() {
    let text = "#!/usr/local/sbin/spawnd\nid = spawnd {\n    listen = { port = 2222 }\n    listen = { address = ::0 port = 2222 }\n    \
        listen = { ::0 port = 2224 }\n    listen = { port = 2225 tls = yes }\n    spawn {\n        users max = 4000\n        users min = 10\n        \
        servers min = 1\n        servers max = 20\n    }\n}\n\nid = tcprelay {\n        remote = { address = 169.254.1.2 port = 22 }\n        \
        ssl cert = /some/where/sample.pem\n        ssl passphrase =  12345\n}\n";
    let config = of(text).unwrap();
    let addresses: Vec<_> = config
        .master
        .listens
        .iter()
        .map(|it| it.address.as_deref())
        .collect();
    assert_eq!(addresses, [None, Some(&b"::0"[..]), Some(b"::0"), None]);
    let entries: Vec<_> = config.master.listens.iter().map(|it| it.entry).collect();
    let tls = Entry::Tls(Versions::From12);
    assert_eq!(entries, [Entry::Plain, Entry::Plain, Entry::Plain, tls]);
    let certificate = Certificate {
        file: Some(b"/some/where/sample.pem".to_vec()),
        key: None,
        passphrase: Some(b"12345".to_vec()),
        place: b"f:17".to_vec(),
    };
    assert_eq!(config.relay.tls, certificate);
    assert_eq!(config.master.users_max, Some(4000));
    assert_eq!(config.master.instances_max, Some(20));
    let notes = [
        "f:9: users min has no effect here",
        "f:10: instances min has no effect here",
    ];
    assert_eq!(config.notes, notes.map(|note| note.as_bytes().to_vec()));
}

#[test]
fn sample_of_spawnd_s_manual_is_read() {
    let config = of(
        "id = spawnd {\n    listen { port 21 }\n    listen { address = ::0 port = 2121 }\n    spawn {\n        users minimum = 10\n        \
         users maximum = 100\n        instances minimum = 10\n        instances maximum = 100\n        exec = /usr/local/libexec/ftpd\n        \
         id = ftpd\n        config = f\n    }\n    background = true\n}\nid = ftpd { }\n",
    )
    .unwrap();
    assert_eq!(config.master.listens.len(), 2);
    assert_eq!(config.master.listens[0].port, Some(b"21".to_vec()));
    assert_eq!(config.master.users_max, Some(100));
    assert_eq!(config.master.instances_max, Some(100));
    assert_eq!(config.master.is_background, Some(true));
}

#[test]
fn tls_is_read_in_every_spelling() {
    let both12 = Entry::Tls(Versions::From12);
    for (spelling, entry) in [
        ("", Entry::Plain),
        ("tls", both12),
        ("tls = yes", both12),
        ("ssl = true", both12),
        ("tls = no", Entry::Plain),
        ("ssl = deny", Entry::Plain),
        ("tls = auto", Entry::Either(Versions::From12)),
        ("tls = TLSv1.3", Entry::Tls(Versions::Only13)),
        ("tls = TLSv1.2", Entry::Tls(Versions::Only12)),
        ("tls = TLSv1.2,TLSv1.3 backlog = 5", both12),
        ("tls = TLSv1.1, TLSv1.2", Entry::Tls(Versions::Only12)),
    ] {
        let config = both(&format!("listen {{ port = 1 {spelling} }}"), "");
        assert_eq!(config.unwrap().master.listens[0].entry, entry, "{spelling}");
    }
    for (spelling, expected, got) in [
        (
            "tls = maybe",
            "'TLSv1.2', 'TLSv1.3', 'auto', 'no' or 'yes'",
            "maybe",
        ),
        (
            "tls = DTLSv1.2",
            "'TLSv1.2', 'TLSv1.3', 'auto', 'no' or 'yes'",
            "DTLSv1.2",
        ),
        (
            "tls = TLSv1.3,",
            "'TLSv1.2', 'TLSv1.3', 'auto', 'no' or 'yes'",
            "}",
        ),
        ("tls = TLSv1.1", "'TLSv1.2' or 'TLSv1.3'", "}"),
    ] {
        let said = format!("f:1: Expected {expected}, but got '{got}'");
        let read = both(&format!("listen {{ port = 1 {spelling} }}"), "");
        assert_eq!(read, Err(said), "{spelling}");
    }
    let old = both("listen { port = 1 tls = TLSv1.1,TLSv1.3 }", "").unwrap();
    assert_eq!(old.notes, [b"f:1: TLSv1.1 is not spoken here"]);
}

#[test]
fn certificates_are_read_in_every_spelling() {
    for text in [
        "tls cert-file = c tls key-file = k tls passphrase = p",
        "ssl certfile = c ssl keyfile = k ssl passphrase = p",
        "tls cert = c ssl key = k tls passphrase = \"p\"",
    ] {
        let certificate = Certificate {
            file: Some(b"c".to_vec()),
            key: Some(b"k".to_vec()),
            passphrase: Some(b"p".to_vec()),
            place: b"f:2".to_vec(),
        };
        assert_eq!(both("", text).unwrap().relay.tls, certificate, "{text}");
    }
    assert_eq!(
        both("", "tls cipher = x"),
        Err("f:2: Expected 'cert-file', 'key-file' or 'passphrase', but got 'cipher'".to_owned())
    );
}

#[test]
fn sections_are_chosen_by_name() {
    let text = "id = spawnd { exec = /path/to/ftpd }\nid = spawnd2 { exec = /path/to/ftpd id = myftpd pidfile = p2 }\n\
        id = myftpd { rebalance = 7 }\nid = ftpd { rebalance = 8 }\nid = tcprelay { rebalance = 9 }\n";
    let rebalance = |sections: &Sections| {
        super::read(
            &Made(BTreeMap::from([("f", text.to_owned())])),
            b"f",
            sections,
        )
        .unwrap()
        .relay
        .rebalance
    };
    assert_eq!(rebalance(&Sections::default()), 9);
    let second = Sections {
        master: b"spawnd2".to_vec(),
        relay: None,
    };
    assert_eq!(rebalance(&second), 7);
    let third = Sections {
        relay: Some(b"ftpd".to_vec()),
        ..second
    };
    assert_eq!(rebalance(&third), 8);
    let none = Sections {
        master: b"nobody".to_vec(),
        relay: None,
    };
    assert_eq!(
        sections(text, &none),
        Err("f:6: No configuration for id 'nobody' found.".to_owned())
    );
}

#[test]
fn access_is_by_the_first_that_matches() {
    let config = both(
        "permit 127.0.0.1/8\ndeny 192.168.5.0/8\npermit 192.168.0.0/16\nacl accept ::1\ndeny not 10.0.0.0/8",
        "",
    );
    let access = |permits, is_negated, network: &str| Access {
        permits,
        is_negated,
        network: network.parse().unwrap(),
    };
    let all = [
        access(true, false, "127.0.0.0/8"),
        access(false, false, "192.0.0.0/8"),
        access(true, false, "192.168.0.0/16"),
        access(true, false, "::1/128"),
        access(false, true, "10.0.0.0/8"),
    ];
    assert_eq!(config.unwrap().master.access, all);
}

#[test]
fn list_decides_who_may_connect() {
    let list = |text: &str| both(text, "").unwrap().master.access;
    let may = |list: &[Access], ip: &str| super::permits(list, ip.parse().unwrap());
    assert!(may(&[], "10.0.0.1"));
    let some = list("permit 10.0.0.0/8 deny 192.168.0.0/16 permit 192.0.0.0/8");
    for (ip, is_permitted) in [
        ("10.9.9.9", true),
        ("192.168.1.1", false),
        ("192.1.1.1", true),
        ("1.1.1.1", false),
        ("::1", false),
    ] {
        assert_eq!(may(&some, ip), is_permitted, "{ip}");
    }
    let all_but = list("deny not 10.0.0.0/8 permit 10.1.0.0/16");
    assert!(!may(&all_but, "11.0.0.1") && may(&all_but, "10.1.0.1") && !may(&all_but, "10.2.0.1"));
}

#[test]
fn directives_of_a_listener_are_read() {
    let config = both(
        "listen = { path = /run/s mode = 0660 userid = root groupid = 7 backlog = 9 bind retry delay = 3 tcp keepalive count = 4 \
         tcp keepalive idle = 0x10 tcp keepalive interval = 6 dscp = 0x38 vrf = blue protocol = SCTP type = STREAM }",
        "",
    );
    let listens = config.unwrap().master.listens;
    let listen = &listens[0];
    assert_eq!(listen.path.as_deref(), Some(&b"/run/s"[..]));
    assert_eq!(
        (listen.mode, listen.dscp, listen.backlog),
        (Some(0o660), Some(0x38), Some(9))
    );
    assert_eq!(listen.retry_delay, Some(3));
    let keepalive = listen.keepalive;
    assert_eq!(
        (keepalive.count, keepalive.idle, keepalive.interval),
        (Some(4), Some(16), Some(6))
    );
    assert!(listen.is_sctp && listen.device.as_deref() == Some(b"blue"));
}

#[test]
fn directives_of_the_master_are_read() {
    let all = master(
        "pid-file = /run/p bind retry delay = 5 overload = reset single process = yes sticky cache period = 60 \
         syslog ident = me syslog facility = LOCAL0 syslog severity = Notice tcp keepalive idle = 1k \
         spawn = { userid = nobody groupid = nogroup working directory = = / }",
    );
    assert_eq!(all.pidfile.as_deref(), Some(&b"/run/p"[..]));
    assert_eq!((all.retry_delay, all.overload), (5, Overload::Reset));
    assert!(all.is_single && all.is_sticky);
    assert_eq!(
        (all.syslog.facility, all.syslog.severity),
        (Some(16), Some(5))
    );
    assert_eq!(all.keepalive.idle, Some(1024));
    assert_eq!(all.folder.as_deref(), Some(&b"/"[..]));
    assert_eq!(
        master("spawn { working directory = / }").folder.as_deref(),
        Some(&b"/"[..])
    );
    assert!(!master("sticky cache period = 0").is_sticky);
}

#[test]
fn directives_of_the_relay_are_read() {
    let relay = both(
        "",
        "remote = { address = 10.0.0.1 port = ssh weight = 0 protocol = SCTP } remote = { port = 1 address = h weight = 3 }\n\
         local address = 10.0.0.9 rebalance = 100 retire limit = 5 idle timeout = 60",
    );
    let relay = relay.unwrap().relay;
    assert_eq!(relay.remotes.len(), 2);
    assert_eq!(
        (relay.remotes[0].weight, relay.remotes[0].is_sctp),
        (1, true)
    );
    assert_eq!((relay.rebalance, relay.retire, relay.idle), (100, 5, 60));
    assert_eq!(both("", "retire = 5").unwrap().relay.retire, 5);
}

#[test]
fn what_has_no_effect_is_noted() {
    let config = both(
        "proctitle = yes coredump directory = /x debug = ALL tcp bufsize 5 spawn { ipc key = 7 exec /x instances min = 2 } \
         listen { port = 1 realm = r haproxy = yes flag = access aaa.protocol = radius.tcp tls psk = no overload backlog = 5 }",
        "proctitle = no",
    );
    let notes = config.unwrap().notes;
    let notes: Vec<_> = notes
        .iter()
        .map(|note| String::from_utf8_lossy(note))
        .collect();
    let said = |what: &str| format!("f:1: {what} has no effect here");
    let whats = [
        "proctitle",
        "coredump directory",
        "debug",
        "tcp bufsize",
        "ipc key",
        "exec",
        "instances min",
        "realm",
        "haproxy",
        "flag",
        "aaa.protocol",
        "tls psk",
        "overload backlog",
    ];
    let mut all: Vec<String> = whats.map(said).to_vec();
    all.push("f:2: proctitle has no effect here".to_owned());
    assert_eq!(notes, all);
    let config = of(
        "setenv IO_POLL_MECHANISM = 4 setenv IO_POLL_MECHANISM = 16 id = spawnd { } id = tcprelay { }",
    );
    assert_eq!(
        config.unwrap().notes,
        [b"f:1: setenv IO_POLL_MECHANISM has no effect here"]
    );
}

#[test]
fn files_are_included_and_cannot_go_in_circles() {
    let files = |main: &str| {
        Made(BTreeMap::from([
            ("f", main.to_owned()),
            ("d/a", "id = other { }".to_owned()),
            ("d/b", "id = spawnd { pidfile = b }".to_owned()),
            ("self", "include = self".to_owned()),
        ]))
    };
    let read = |main: &str| read(&files(main), b"f", &Sections::default()).map_err(said);
    let config = read("include = d/*\nid = tcprelay { }").unwrap();
    assert_eq!(config.master.pidfile.as_deref(), Some(&b"b"[..]));
    assert_eq!(
        read("include = self"),
        Err("self:1: Files include each other too deeply".to_owned())
    );
    assert!(
        read("include = d/b")
            .unwrap_err()
            .ends_with("No configuration for id 'tcprelay' found.")
    );
}

#[test]
fn files_are_included_wherever_a_word_may_stand() {
    let files = |main: &str| {
        Made(BTreeMap::from([
            ("f", main.to_owned()),
            ("d/a", "permit 10.0.0.0/8\n".to_owned()),
            ("d/b", "deny 11.0.0.0/8\n".to_owned()),
            ("number", "23 # telnet".to_owned()),
            (
                "remote",
                "remote = {\naddress = h\ninclude = port }".to_owned(),
            ),
            ("port", "port = include = number".to_owned()),
            ("wrong", "\n\ncolour = red".to_owned()),
        ]))
    };
    let read = |main: &str| read(&files(main), b"f", &Sections::default()).map_err(said);
    let config = read(
        "id = spawnd {\ninclude d/*\nlisten { include = port }\npidfile = include }\nid = tcprelay { include = 'remote' rebalance = 4\n }",
    );
    assert_eq!(config, Err("f:4: Expected a value, but got '}'".to_owned()));
    let config = read(
        "id = other { include = nosuch }\nid = spawnd {\ninclude d/*\nlisten { include = port }\npidfile = 'include' }\n\
         id = tcprelay { include = 'remote' rebalance = 4\n }",
    )
    .unwrap();
    let permits: Vec<_> = config.master.access.iter().map(|it| it.permits).collect();
    assert_eq!(permits, [true, false]);
    assert_eq!(config.master.listens[0].port.as_deref(), Some(&b"23"[..]));
    assert_eq!(config.master.pidfile.as_deref(), Some(&b"include"[..]));
    assert_eq!(config.relay.remotes[0].port, b"23");
    assert_eq!(config.relay.remotes[0].place, b"remote:1");
    assert_eq!(config.relay.rebalance, 4);
    assert_eq!(
        read("id = spawnd {\nlisten { port = 1 include = wrong\n} }").unwrap_err(),
        read("id = spawnd {\nlisten { port = 1\n\ncolour = red } }")
            .unwrap_err()
            .replace("f:4", "wrong:3")
    );
    assert_eq!(
        read("id = spawnd { background = no\ninclude = number }"),
        Err("number:1: Expected 'background', 'bind', 'coredump', 'debug', 'deny', 'listen', 'overload', 'permit', 'pid-file', \
             'pidfile', 'proctitle', 'single', 'spawn', 'sticky', 'syslog', 'tcp', 'trace' or '}', but got '23'"
            .to_owned())
    );
}

#[test]
fn files_that_include_each_other_are_refused_soon() {
    let all = "include = x*".to_owned();
    let files = ["f", "x0", "x1", "x2", "x3"].map(|name| (name, all.clone()));
    let config = read(&Made(BTreeMap::from(files)), b"f", &Sections::default());
    let told = "x0:1: Files include each other too deeply";
    assert_eq!(config.map_err(said), Err(told.to_owned()));
    // Never deep, and without an end: each one has all that are deeper twice.
    let names: Vec<String> = (0..15).map(|number| format!("y{number}")).collect();
    let names: Vec<&'static str> = names.into_iter().map(|name| &*name.leak()).collect();
    let mut files = BTreeMap::from([("f", "include = y0".to_owned()), ("y14", String::new())]);
    for pair in names.windows(2) {
        files.insert(pair[0], format!("include = {0} include = {0}", pair[1]));
    }
    let config = read(&Made(files), b"f", &Sections::default());
    assert!(said(config.unwrap_err()).ends_with(": Too many files are included"));
}

#[test]
fn debug_levels_and_old_names_of_syslog_are_taken() {
    let config = both("debug = ACL -PARSE trace redirect = /x debug = NONE", "").unwrap();
    assert_eq!(config.notes, [b"f:1: debug has no effect here"; 3]);
    for (text, facility, severity) in [
        ("syslog facility = security", Some(4), None),
        ("syslog level = error", None, Some(3)),
        ("syslog severity = panic", None, Some(0)),
        ("syslog severity = WARN", None, Some(4)),
    ] {
        let syslog = master(text).syslog;
        assert_eq!((syslog.facility, syslog.severity), (facility, severity));
    }
}

#[test]
fn larger_dscp_is_cut_as_the_kernel_does() {
    for (text, dscp, notes) in [
        ("63", 63, &[][..]),
        ("99", 35, &["f:1: dscp 99 is 35"]),
        ("0x100", 0, &["f:1: dscp 256 is 0"]),
    ] {
        let config = both(&format!("listen {{ port = 1 dscp = {text} }}"), "").unwrap();
        assert_eq!(config.master.listens[0].dscp, Some(dscp));
        let said: Vec<_> = notes.iter().map(|note| note.as_bytes().to_vec()).collect();
        assert_eq!(config.notes, said);
    }
}

#[test]
fn larger_weight_is_cut_and_noted() {
    let config = both("", "remote = { address = h port = 1\nweight = 64k }").unwrap();
    assert_eq!(config.relay.remotes[0].weight, 65535);
    assert_eq!(config.notes, [b"f:3: weight 64k is 65535"]);
}

#[test]
fn directives_outside_the_sections_are_noted_once() {
    let config = of(
        "cleanup interval = 5 gcore = /x debug-cmd = y\nalias a { background = { } }\nalias = b { }\nid = spawnd { } id = tcprelay { }",
    );
    let notes = [
        "f:1: cleanup interval has no effect here",
        "f:1: gcore has no effect here",
        "f:1: debug-cmd has no effect here",
        "f:2: alias has no effect here",
        "f:3: alias has no effect here",
    ];
    assert_eq!(config.unwrap().notes, notes.map(|note| note.as_bytes()));
}

#[test]
fn strings_are_those_of_c() {
    let all = master(r#"pidfile = "a b\n\101\"\0'" syslog ident = 'x\'y'"#);
    assert_eq!(all.pidfile.as_deref(), Some(&b"a b\nA\"\0'"[..]));
    assert_eq!(all.syslog.ident.as_deref(), Some(&b"x'y"[..]));
}
