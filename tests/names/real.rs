//! From end to end with Debian's nsd as the name server and Debian's oidentd where the client is. (One where the server is
//! would not know a connection that the server has not accepted yet: whether it does is chance.)

use std::ffi::OsStr;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::daemon::Daemon;
use super::{NAME_SERVER, THERE};
use crate::support::deadline;
use crate::support::launch::Launch;
use crate::support::process::Process;
use crate::support::temp::TempDir;
use crate::support::trials::Verdict;

const NSD_CONF: &str = r#"
server:
  ip-address: 127.0.0.53
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "."
  xfrdir: "."
  zonelistfile: "zone.list"
  database: ""
  pidfile: ""
  xfrdfile: ""
remote-control:
  control-enable: no
zone:
  name: "test"
  zonefile: "forward"
zone:
  name: "127.in-addr.arpa"
  zonefile: "reverse"
"#;

const HEAD: &str = "$TTL 60\n@ SOA ns.test. root.test. 1 60 60 60 60\n NS ns.test.\n";
const FORWARD: &str = "ns A 127.0.0.53\nhere A 127.0.0.1\nthere A 127.0.0.2\n";
const REVERSE: &str = "1.0.0 PTR here.test.\n2.0.0 PTR There.Test.\n";

/// Programs on both sides see names and users that a real name server and a real ident server give.
pub(crate) fn both_ends_are_known_to_each_other() -> Verdict {
    let (Some(nsd), Some(oidentd)) = (find("nsd"), find("oidentd")) else {
        let why = "there is no nsd and oidentd".to_owned();
        let required = std::env::var_os("UCSPI_COMPONENTS_REQUIRED");
        return match required.as_deref() == Some(OsStr::new("1")) {
            true => Verdict::Failed(why),
            false => Verdict::Skipped(why),
        };
    };
    let work = TempDir::new();
    let write = |name: &str, text: String| {
        std::fs::write(work.path().join(name), text).expect("the folder is ours");
    };
    write("nsd.conf", NSD_CONF.to_owned());
    write("forward", format!("{HEAD}{FORWARD}"));
    write("reverse", format!("{HEAD}{REVERSE}"));
    let start = |program: PathBuf, arguments: &[&str]| {
        let launch = Launch::new(program, "program", arguments);
        launch
            .spawn(work.path())
            .expect("the program can be started")
    };
    let nsd = start(nsd, &["-d", "-c", "nsd.conf"]);
    wait_for_port(&nsd, NAME_SERVER, 53);
    let users = ["-i", "-S", "-u", "root", "-g", "root", "-a", "127.0.0.2"];
    let oidentd = start(oidentd, &users);
    wait_for_port(&oidentd, THERE, 113);

    let asking = |launch: Launch| launch.env("DNSCACHEIP", NAME_SERVER.to_string());
    // Keeps the connection open until the client has read it all: ident servers know only open ones.
    let program = ["sh", "-c", "env; echo end; read gone"];
    let server = Daemon::start(&["-vp"], &program, asking);
    let port = server.port.to_string();
    let script = "while read x <&6 && test \"$x\" != end; do echo \"$x\"; done; echo; env";
    let client = ["-i", "127.0.0.2", "here.test", &port, "sh", "-c", script];
    let outcome = Daemon::run_client(&client, asking);
    assert_eq!(String::from_utf8_lossy(&outcome.stderr), "");
    let text = String::from_utf8_lossy(&outcome.stdout).into_owned();
    let (server_side, client_side) = text
        .split_once("\n\n")
        .expect("both send their environment");
    assert_eq!(
        described(server_side),
        [
            "TCPLOCALHOST=here.test",
            "TCPLOCALIP=127.0.0.1",
            "TCPREMOTEHOST=there.test",
            "TCPREMOTEINFO=root",
            "TCPREMOTEIP=127.0.0.2",
        ]
    );
    assert_eq!(
        described(client_side),
        [
            "TCPLOCALHOST=there.test",
            "TCPLOCALIP=127.0.0.2",
            "TCPREMOTEHOST=here.test",
            "TCPREMOTEIP=127.0.0.1",
        ]
    );
    server.wait_for(" here.test:127.0.0.1:", 1);
    server.wait_for(" there.test:127.0.0.2:root:", 1);
    Verdict::Passed
}

/// The variables that describe a connection, but for the ports, sorted.
fn described(environment: &str) -> Vec<&str> {
    let lines = environment.lines().filter(|line| line.starts_with("TCP"));
    let mut lines: Vec<&str> = lines.filter(|line| !line.contains("PORT=")).collect();
    lines.sort_unstable();
    lines
}

/// Waits until `program` listens.
fn wait_for_port(program: &Process, ip: std::net::Ipv4Addr, port: u16) {
    let limit = Instant::now() + deadline();
    while TcpStream::connect((ip, port)).is_err() {
        assert!(
            Instant::now() < limit,
            "process {} does not listen",
            program.pid()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin"].map(Path::new);
    folders
        .iter()
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
