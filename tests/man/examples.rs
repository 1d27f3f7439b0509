//! Runs the examples of a page.
//!
//! All blocks of a page are run, in order, in one empty folder, in a network, a process and a mount namespace of their
//! own: so each port is free, and nothing outlives them. What kind of block it is says a comment before it:
//!
//! * `.\" example: file NAME`: its text is put into that file.
//! * `.\" example: server`: it is run by sh, in the background, until all is over; the next block has to wait until one
//!   more port is listened on.
//! * no comment: a dialogue. Lines that start with `$ ` (and `> `, if a command needs more lines) are run by sh, the others are what must
//!   be printed, on descriptors 1 and 2, and the last command must exit with 0.
//!
//! Programs that are not ours and not of every system have stand-ins, which only run the rest of their command line or
//! say who they are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::page::{Block, Page};
use super::programs;
use crate::support::own_net;
use crate::support::temp::TempDir;

const STAND_INS: [(&str, &str); 5] = [
    ("qmail-smtpd", "echo 220 stand-in"),
    ("git", "echo git"),
    ("rsync", "echo rsync"),
    ("softlimit", "shift 2; exec \"$@\""),
    ("multilog", "mkdir \"$2\" && exec cat > \"$2/current\""),
];

/// What a machine with few packages may lack.
const SERVICES: &str = "ftp 21/tcp\nsmtp 25/tcp\nrsync 873/tcp\ngit 9418/tcp\n";

/// What went wrong with the examples of `page`.
pub(crate) fn failure(page: &Page) -> Option<String> {
    let blocks = page.examples();
    if blocks.is_empty() {
        return Some(format!("{}: there is no example", page.file));
    }
    if !nix::unistd::geteuid().is_root() {
        programs::skip(
            "UCSPI_NETNS_REQUIRED",
            "only root may make namespaces and change users",
        );
        return None;
    }
    let uses_openssl = blocks.iter().any(|block| block.text.contains("openssl "));
    if uses_openssl && programs::run("openssl", &["version".to_owned()]).is_none() {
        programs::skip("UCSPI_COMPONENTS_REQUIRED", "openssl is not here");
        return None;
    }
    let folder = TempDir::new();
    let outcome = std::thread::scope(|scope| {
        let world = scope.spawn(|| {
            // Networks belong to threads.
            own_net::enter_network().map(|()| run(folder.path(), &blocks))
        });
        world.join().expect("it says what is wrong")
    });
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(why) => return Some(format!("{}: {why}", page.file)),
    };
    (!outcome.status.success()).then(|| format!("{}:\n{}", page.file, outcome.text()))
}

fn run(folder: &Path, blocks: &[Block]) -> programs::Outcome {
    let bin = folder.join("bin");
    let work = folder.join("work");
    fs::create_dir(&bin).expect("an empty folder");
    fs::create_dir(&work).expect("an empty folder");
    programs::install(&bin);
    for (name, text) in STAND_INS {
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("an empty folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod of our file");
    }
    fs::write(folder.join("services"), SERVICES).expect("an empty folder");
    let mut steps = String::new();
    for (number, block) in blocks.iter().enumerate() {
        let number = number + 1;
        match block.kind.split_once(' ') {
            Some(("file", name)) => {
                fs::write(work.join(name), &block.text).expect("the block names a plain file");
            }
            _ if block.kind == "server" => {
                fs::write(folder.join(format!("{number}")), &block.text).expect("our folder");
                steps += &format!("server {number}\n");
            }
            _ => {
                let (commands, output) = dialogue(&block.text);
                fs::write(folder.join(format!("{number}")), commands).expect("our folder");
                fs::write(folder.join(format!("{number}.expected")), output).expect("our folder");
                steps += &format!("dialogue {number}\n");
            }
        }
    }
    let script = folder.join("script");
    fs::write(&script, format!("{SCRIPT}\n{steps}")).expect("our folder");
    let start = folder.join("start");
    fs::write(&start, START).expect("our folder");
    let script = script.to_str().expect("a plain path");
    programs::run_script(&start, &[script], &work, &bin)
}

/// The commands of a dialogue, and what they print.
fn dialogue(text: &str) -> (String, String) {
    let (mut commands, mut output) = (String::new(), String::new());
    for line in text.lines() {
        let command = line.strip_prefix("$ ").or_else(|| line.strip_prefix("> "));
        let (to, line) = command.map_or((&mut output, line), |line| (&mut commands, line));
        to.push_str(line);
        to.push('\n');
    }
    (commands, output)
}

const START: &str = "
exec timeout 120 unshare --mount --pid --fork --kill-child --mount-proc sh -eu \"$1\"
";

const SCRIPT: &str = r#"
mkdir ../etc
for file in passwd group ld.so.cache; do
  if test -e "/etc/$file"; then cp "/etc/$file" ../etc; fi
done
cp ../services ../etc
mount --bind ../etc /etc

listening() { cat /proc/net/tcp /proc/net/tcp6 | grep -c ' 0A 0' || :; }

fail() {
  echo "block $1: $2"
  echo "--- it is"
  cat "../$1"
  echo "--- it said"
  cat "../$1.output"
  exit 1
}

server() {
  before=$(listening)
  sh "../$1" > "../$1.output" 2>&1 &
  tries=0
  until test "$(listening)" -gt "$before"; do
    tries=$((tries + 1))
    test "$tries" -lt 1000 || fail "$1" "nothing listens"
    sleep 0.02
  done
}

dialogue() {
  status=0
  sh "../$1" > "../$1.output" 2>&1 || status=$?
  test "$status" = 0 || fail "$1" "exit status $status"
  if ! cmp -s "../$1.output" "../$1.expected"; then fail "$1" "another answer"; fi
}
"#;
