//! A real name server: Debian's nsd.

use std::net::Ipv4Addr;

use super::place::{Place, find, wait_for_port};
use super::process::Process;

const CONF: &str = r#"
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
"#;

const HEAD: &str = "$TTL 60\n@ SOA ns.test. root.test. 1 60 60 60 60\n NS ns.test.\n";

/// Starts it at 127.0.0.53, in `place`, with these zones: a name, and lines such as `here A 127.0.0.1`.
///
/// # Errors
/// There is no nsd.
pub(crate) fn start(place: &Place, zones: &[(&str, &str)]) -> Result<Process, String> {
    let nsd = find("nsd")?;
    let mut conf = CONF.to_owned();
    for (name, records) in zones {
        conf.push_str(&format!(
            "zone:\n  name: \"{name}\"\n  zonefile: \"{name}\"\n"
        ));
        place.write(name, format!("{HEAD}{records}"));
    }
    place.write("nsd.conf", conf);
    let process = place.start(&[&nsd, "-d", "-c", "nsd.conf"], |launch| launch);
    wait_for_port(&process, Ipv4Addr::new(127, 0, 0, 53), 53);
    Ok(process)
}
