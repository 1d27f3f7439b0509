//! hosts.allow and hosts.deny as rules, against the real tcpdmatch.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use ucspi_tcp::import::{Import, Style, Tree, convert, files, sources};
use ucspi_tcp::rules::{Lengths, Peer, parse, search};

use super::dice::Dice;
use super::skip;
use super::temp::TempDir;

/// How many pairs of files, and how many clients each.
const FILES: usize = 1000;
const CLIENTS: usize = 10;
/// How many of them are asked at a time.
const PARTS: usize = 4;

/// A client: its name and its user are not always known.
struct Client {
    address: IpAddr,
    name: Option<&'static str>,
    user: Option<&'static str>,
}

struct Case {
    allow: String,
    deny: String,
    daemon: &'static str,
    clients: Vec<Client>,
}

#[test]
fn rules_decide_as_tcpdmatch_does_or_deny_with_a_note() {
    if !nix::unistd::geteuid().is_root() || !Path::new("/usr/sbin/tcpdmatch").exists() {
        return skip("it needs root and tcpdmatch");
    }
    let mut dice = Dice::new(18);
    let cases: Vec<Case> = (0..FILES).map(|_| case(&mut dice)).collect();
    let theirs: Vec<Vec<bool>> = std::thread::scope(|scope| {
        let parts = cases.chunks(FILES / PARTS);
        let parts: Vec<_> = parts.map(|part| scope.spawn(|| tcpdmatch(part))).collect();
        let parts = parts.into_iter();
        parts
            .flat_map(|part| part.join().expect("it was asked"))
            .collect()
    });
    let (mut exact, mut noted, mut wrong) = (0, 0, String::new());
    for (number, case) in cases.iter().enumerate() {
        let import = import(case);
        let rules = rules(&import);
        let has_note = !import.missing().is_empty();
        for (client, &granted) in case.clients.iter().zip(&theirs[number]) {
            let ours = allows(&rules, client);
            if ours == granted {
                exact += 1;
            } else if has_note && !ours {
                noted += 1;
            } else {
                let Case {
                    allow,
                    deny,
                    daemon,
                    ..
                } = case;
                let Client {
                    address,
                    name,
                    user,
                } = client;
                let _ = writeln!(
                    wrong,
                    "--- {daemon} from {user:?} {name:?} {address}: tcpdmatch {granted}, rules {ours}\nallow:\n{allow}deny:\n{deny}rules:\n{}{:?}",
                    text(&import),
                    import.missing()
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(exact + noted, FILES * CLIENTS);
    // A converter that denies everybody would pass, too.
    assert!(
        exact * 10 > FILES * CLIENTS * 9,
        "{exact} as tcpdmatch, {noted} denied with a note"
    );
    let line = format!("tcpdmatch: {exact} the same, {noted} denied with a note\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

const DAEMONS: [&str; 2] = ["in.sd", "in.td"];
const DAEMON_LISTS: &[&str] = &[
    "in.sd",
    "in.td",
    "ALL",
    "ALL",
    "ALL",
    "ALL EXCEPT in.td",
    "in.sd, in.td",
    "in.sd in.xd",
    "in.*",
    "IN.SD",
    "in.",
    ".sd",
    "in.sd@10.0.0.1",
    "25",
];
const EXACT: &[&str] = &[
    "ALL",
    "10.",
    "10.1.",
    "10.1.2.",
    "10.1.2.3",
    "10.0.0.0/8",
    "10.1.0.0/255.255.0.0",
    "10.1.2.0/25",
    "192.0.2.7",
    "192.0.2.0/24",
    "[2001:db8::]/32",
    "[2001:db8::7]",
    "[2001:DB8:0::]/48",
    "[::]/0",
    "[2001:db8::7]/64",
    ".example",
    ".a.example",
    "h.a.example",
    "b.example",
    "short",
    "KNOWN",
    "UNKNOWN",
    "joe@10.1.2.3",
    "joe@h.a.example",
    "ann@b.example",
    "ALL@10.1.",
    "10.1.*",
    "0.0.0.0/0",
    "0.0.0.0/0.0.0.0",
    "10.0.0.1/8",
    "10.1.2.3/32",
    "10.1.2.3/255.255.255.255",
    "10/8",
    "10.0.0.0/33",
    "10.1.2.3.",
    "[10.1.2.3]",
    "[::ffff:10.1.2.3]",
    "10.01.2.3",
    "B.Example",
    "10.1.2.3/31",
    "10.1.2.2/31",
    "localhost",
    ".",
    "10",
];
/// What rules cannot say.
const INEXACT: &[&str] = &[
    "LOCAL",
    "@group",
    "/nowhere",
    "*.example",
    "10.1.2.?",
    "b.*",
    "joe@10.",
    "KNOWN@10.1.2.3",
    "UNKNOWN@ALL",
    "j*@b.example",
    "10.0.0.0/255.0.255.0",
    "b.",
    ".3",
    "PARANOID",
];
const OPTIONS: &[&str] = &[
    "allow",
    "deny",
    "DENY",
    "setenv A b c",
    "setenv = A",
    "setenv A %a",
    "twist /bin/echo no",
    "spawn /bin/true",
    "nonsense",
    "deny : allow",
    "umask 022",
    "keepalive",
    "linger 5",
    "nice",
    "rfc931",
    "keepalive : deny",
    "",
    "allow x",
    "banners /x : allow",
];

fn case(dice: &mut Dice) -> Case {
    let file = |lines: usize, dice: &mut Dice| {
        let mut text = String::new();
        for _ in 0..lines {
            line(dice, &mut text);
        }
        text
    };
    let (allows, denies) = (dice.below(4), dice.below(3));
    let allow = file(allows, dice);
    let mut deny = file(denies, dice);
    if dice.one_in(2) {
        deny += "ALL: ALL\n";
    }
    let addresses = [
        "10.1.2.3",
        "10.1.2.4",
        "10.1.3.3",
        "10.2.2.3",
        "192.0.2.7",
        "192.0.2.8",
        "203.0.113.1",
        "2001:db8::7",
        "2001:db8::8",
        "2001:db8:1::7",
        "fd00::1",
    ];
    let names = [
        "h.a.example",
        "x.a.example",
        "b.example",
        "other.example",
        "short",
        "far.test",
    ];
    let users = ["joe", "ann"];
    let clients = (0..CLIENTS).map(|_| Client {
        address: dice.pick(&addresses).parse().expect("an address"),
        name: (!dice.one_in(3)).then(|| dice.pick(&names)),
        user: dice.one_in(3).then(|| dice.pick(&users)),
    });
    Case {
        clients: clients.collect(),
        allow,
        deny,
        daemon: dice.pick(&DAEMONS),
    }
}

fn line(dice: &mut Dice, text: &mut String) {
    *text += dice.pick(DAEMON_LISTS);
    *text += dice.pick(&[": ", ":", " : "]);
    for number in 0..=dice.below(4) {
        if number > 0 {
            *text += dice.pick(&[" ", ", ", ",", " EXCEPT ", " except "]);
        }
        let patterns = if dice.one_in(12) { INEXACT } else { EXACT };
        *text += dice.pick(patterns);
    }
    if dice.one_in(5) {
        *text += ": ";
        *text += dice.pick(OPTIONS);
    }
    *text += dice.pick(&[
        "\n",
        "\n",
        "\n",
        " \\\n\n",
        "\n# a comment\n",
        "\n\n",
        "\nno colon\n",
    ]);
}

/// What tcpdmatch says of each client of each case: true for granted.
fn tcpdmatch(cases: &[Case]) -> Vec<Vec<bool>> {
    let folder = TempDir::new();
    for (number, case) in cases.iter().enumerate() {
        let own = folder.path().join(number.to_string());
        fs::create_dir(&own).expect("our folder");
        fs::write(own.join("hosts.allow"), &case.allow).expect("our folder");
        fs::write(own.join("hosts.deny"), &case.deny).expect("our folder");
        let mut clients = String::new();
        for Client {
            address,
            name,
            user,
        } in &case.clients
        {
            let user = user.map_or(String::new(), |user| format!("{user}@"));
            let address = address.to_string();
            let called = name.unwrap_or(&address);
            let name = name.unwrap_or("-");
            let _ = writeln!(clients, "{address} {name} {user}{called}");
        }
        fs::write(own.join("daemon"), format!("{}\n", case.daemon)).expect("our folder");
        fs::write(own.join("clients"), clients).expect("our folder");
    }
    let script = r#"
        # In memory: a file that is written anew waits for the disk.
        mkdir memory
        mount -t tmpfs none memory
        echo > memory/hosts
        mount --bind memory/hosts /etc/hosts
        for number in $(seq 0 $(($1 - 1))); do
          cd $number
          read -r daemon < daemon
          while read -r address name client; do
            echo "$address $name" > /etc/hosts
            /usr/sbin/tcpdmatch -d "$daemon" "$client" 2>&1
          done < clients
          cd ..
        done"#;
    let output = Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
            &cases.len().to_string(),
        ])
        .current_dir(folder.path())
        .output()
        .expect("util-linux is there");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8(output.stdout).expect("words");
    let said = said.lines().filter_map(|line| line.strip_prefix("access:"));
    let said: Vec<bool> = said.map(|verdict| verdict.trim() == "granted").collect();
    let counts: usize = cases.iter().map(|case| case.clients.len()).sum();
    assert_eq!(said.len(), counts, "one answer for each client");
    said.chunks(CLIENTS).map(<[bool]>::to_vec).collect()
}

/// The service of a line of inetd.conf that has tcpd run the daemon, with both files.
fn import(case: &Case) -> Import {
    let line = format!(
        "smtp stream tcp nowait root /usr/sbin/tcpd {}\n",
        case.daemon
    );
    let texts = [
        ("inetd.conf", &line),
        ("hosts.allow", &case.allow),
        ("hosts.deny", &case.deny),
    ];
    let folder = texts.map(|(name, text)| {
        let tree = Tree::File {
            mode: 0o644,
            text: text.clone().into(),
        };
        (name.as_bytes().to_vec(), tree)
    });
    let sources = sources(b".", Tree::Folder(BTreeMap::from(folder)));
    let import = convert(&sources, &mut |_| Err("nothing is included"));
    import.unwrap_or_else(|fault| panic!("{fault:?}"))
}

/// The lines of the rules.
fn text(import: &Import) -> String {
    let [service] = &import.services[..] else {
        panic!("one service: {import:?}")
    };
    let files = files(service, Style::Daemontools, None, b"/");
    let rules = files.into_iter().find(|file| file.path == "rules");
    rules.map_or(String::new(), |file| {
        String::from_utf8(file.text).expect("plain text")
    })
}

fn rules(import: &Import) -> HashMap<Vec<u8>, Vec<u8>> {
    let mut records = HashMap::new();
    for line in text(import).lines() {
        let rule = parse(line.as_bytes()).unwrap_or_else(|fault| panic!("{line}: {fault:?}"));
        if let Some(rule) = rule {
            let each = |key: &[u8]| {
                let old = records.insert(key.to_vec(), rule.data.to_vec());
                assert_eq!(old, None, "{line}: no key twice");
                Ok::<(), ()>(())
            };
            rule.keys(each).expect("it never fails");
        }
    }
    records
}

fn allows(rules: &HashMap<Vec<u8>, Vec<u8>>, client: &Client) -> bool {
    let ip = client.address.to_string();
    let peer = Peer {
        ip: ip.as_bytes(),
        host: client.name.map(str::as_bytes),
        info: client.user.map(str::as_bytes),
    };
    let found = search(peer, &Lengths::ALL, |key| match rules.get(&key.bytes[..]) {
        Some(data) => ControlFlow::Break(data.starts_with(b"D")),
        None => ControlFlow::Continue(()),
    });
    found.break_value() != Some(true)
}
