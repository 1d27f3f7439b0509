//! tcppool as the policy server of a real postfix.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use nix::unistd::{Group, User};

use super::Test;
use crate::support::is_root;
use crate::support::place::{Place, find, ours, text, wait_for_port};
use crate::support::process::Process;

pub(crate) const TESTS: &[(&str, Test)] = &[(
    "tcppool::postfix_asks_the_policy_server_and_does_what_it_says",
    postfix_asks_the_policy_server_and_does_what_it_says,
)];

fn postfix_asks_the_policy_server_and_does_what_it_says() -> Result<(), String> {
    let (master, swaks) = (find_master()?, find("swaks")?);
    let place = Place::new();
    place.write("policy", include_str!("../../examples/pool/policy"));
    let tcppool = ours("tcppool");
    let options = ["-1vRHl0", "--query=blank", "--queries=0"];
    let here = ["127.0.0.1", "0", "sh", "./policy"];
    let words = [&[&tcppool[..]], &options[..], &here[..]].concat();
    let pool = place.start(&words, |launch| launch);
    let port = text(&pool.stdout.as_ref().expect("stdout is a pipe").first_line());
    let _postfix = start_postfix(&place, &master, port.trim_end());
    let recipient = |sender: &str| {
        let to = ["--to", "b@here.test", "--quit-after", "RCPT"];
        let words = [
            &[&swaks[..], "--server", "127.0.0.1", "--from", sender],
            &to[..],
        ]
        .concat();
        text(&place.run(&words, |launch| launch).stdout)
    };
    for _ in 0..3 {
        let talk = recipient("a@ham.example");
        assert!(talk.contains("<-  250 2.1.5 Ok"), "{talk}");
        let talk = recipient("a@spam.example");
        let refused = "<** 554 5.7.1 <b@here.test>: Recipient address rejected: not from there";
        assert!(talk.contains(refused), "{talk}");
    }
    let log = pool.stderr.as_ref().expect("stderr is a pipe");
    log.wait_for("tcppool: query ", 6);
    assert!(!text(&log.so_far()).contains("tcppool: fail "));
    Ok(())
}

fn find_master() -> Result<String, String> {
    let master = "/usr/lib/postfix/sbin/master";
    if !Path::new(master).exists() {
        return Err("there is no postfix".to_owned());
    }
    if !is_root() || User::from_name("postfix").is_ok_and(|user| user.is_none()) {
        return Err("postfix needs root and a user of its own".to_owned());
    }
    Ok(master.to_owned())
}

/// A postfix that receives mail at port 25, with a queue of its own, and asks the policy server at `port`.
fn start_postfix(place: &Place, master: &str, port: &str) -> Process {
    let folder = place.path();
    let all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder, all).expect("the folder is ours");
    let id = |user: Option<User>| user.expect("there is such a user").uid.as_raw();
    let postfix = id(User::from_name("postfix").expect("users can be read"));
    let group = Group::from_name("postdrop").expect("groups can be read");
    let group = group.expect("there is such a group").gid.as_raw();
    let queue = [
        "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
        "saved",
    ];
    for name in ["data"]
        .into_iter()
        .chain(queue)
        .chain(["maildrop", "public", "pid", "trace"])
    {
        let name = if name == "data" {
            name.to_owned()
        } else {
            format!("queue/{name}")
        };
        let made = folder.join(&name);
        std::fs::create_dir_all(&made).expect("the folder is ours");
        let group = ["queue/maildrop", "queue/public"]
            .contains(&&name[..])
            .then_some(group);
        let owner = (name != "queue/pid").then_some(postfix);
        chown(&made, owner, group).expect("root may");
    }
    let folder = folder.display();
    let main = format!(
        "compatibility_level = 3.6\nqueue_directory = {folder}/queue\ndata_directory = {folder}/data\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = here.test\nmydestination = here.test\n\
         local_recipient_maps =\nalias_maps =\nsmtpd_peername_lookup = no\nmaillog_file = /dev/stdout\n\
         smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:{port}, reject_unauth_destination\n"
    );
    place.write("main.cf", main);
    let services = "127.0.0.1:25 inet n - n - - smtpd\ncleanup unix n - n - 0 cleanup\nrewrite unix - - n - - trivial-rewrite\n\
                    anvil unix - - n - 1 anvil\npostlog unix-dgram n - n - 1 postlogd\n";
    place.write("master.cf", services);
    let process = place.start(&[master, "-d", "-c", &folder.to_string()], |launch| launch);
    wait_for_port(&process, [127, 0, 0, 1].into(), 25);
    process
}
