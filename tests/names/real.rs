//! From end to end with Debian's nsd as the name server and Debian's oidentd where the client is. (One where the server is
//! would not know a connection that the server has not accepted yet: whether it does is chance.)

use super::daemon::Daemon;
use super::{NAME_SERVER, THERE};
use crate::support::launch::Launch;
use crate::support::nsd;
use crate::support::place::{Place, find, wait_for_port};
use crate::support::trials::Verdict;

const FORWARD: &str = "ns A 127.0.0.53\nhere A 127.0.0.1\nthere A 127.0.0.2\n";
const REVERSE: &str = "1.0.0 PTR here.test.\n2.0.0 PTR There.Test.\n";

/// Programs on both sides see names and users that a real name server and a real ident server give.
pub(crate) fn both_ends_are_known_to_each_other() -> Verdict {
    match real_ends() {
        Ok(()) => Verdict::Passed,
        Err(missing) => Verdict::cannot(missing, "UCSPI_COMPONENTS_REQUIRED"),
    }
}

fn real_ends() -> Result<(), String> {
    let place = Place::new();
    let zones = [("test", FORWARD), ("127.in-addr.arpa", REVERSE)];
    let _nsd = nsd::start(&place, &zones)?;
    let oidentd = find("oidentd")?;
    let users = ["-i", "-S", "-u", "root", "-g", "root", "-a", "127.0.0.2"];
    let oidentd = place.start(&[&[&oidentd[..]], &users[..]].concat(), |launch| launch);
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
    Ok(())
}

/// The variables that describe a connection, but for the ports, sorted.
fn described(environment: &str) -> Vec<&str> {
    let lines = environment.lines().filter(|line| line.starts_with("TCP"));
    let mut lines: Vec<&str> = lines.filter(|line| !line.contains("PORT=")).collect();
    lines.sort_unstable();
    lines
}
