//! Rules that are overwritten in place, as `cp` does, while a visitor comes whom both the old ones and the new ones
//! deny: at no moment is he let in.
//!
//! `UCSPI_VISITS` says how often he comes; `ci/overwritten` makes it a million.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use ucspi_tcp::rules::Rules;

use super::{Folder, at};
use crate::support::deadline;
use crate::support::launch::Launch;
use crate::support::programs::Programs;

/// Denied by all of these rules.
const VISITOR: &str = "127.0.0.1";

/// How often the visitor comes to each of the files.
fn visits() -> u64 {
    let given = std::env::var("UCSPI_VISITS").ok();
    given.map_or(20_000, |count| count.parse().expect("a number of visits"))
}

/// Two files of compiled rules whose slots are in different places: `rules` of others, and one that denies the visitor.
fn files(folder: &Folder, rules: u32) -> [Vec<u8>; 2] {
    let text = |network: u32, rules: u32| -> String {
        let others = (0..rules).map(|n| format!("{network}.{}.{}.7:allow\n", n / 200, n % 200));
        others.chain([format!("{VISITOR}:deny\n")]).collect()
    };
    [
        folder.compiled(&text(10, rules)),
        folder.compiled(&text(12, 2 * rules)),
    ]
}

/// How somebody writes to a file that others read.
#[derive(Clone, Copy, Debug)]
enum Writing {
    /// As `cp` does: it is emptied, and filled again.
    Emptied,
    /// As `rsync --inplace` does: the new bytes go over the old ones.
    Over,
}

fn overwrite(path: &Path, bytes: &[u8], writing: Writing) {
    let mut options = OpenOptions::new();
    let options = options.write(true);
    let options = options.truncate(matches!(writing, Writing::Emptied));
    let mut file = options.open(path).expect("the folder is ours");
    file.write_all(bytes).expect("there is room");
    file.set_len(bytes.len() as u64).expect("it may be shorter");
}

/// Overwrites `path` with one of `files` after the other while somebody visits, who is not to see anything else: so many
/// times, and until it was overwritten twice. How often that was.
fn meanwhile(
    path: &Path,
    files: &[Vec<u8>; 2],
    writing: Writing,
    visits: u64,
    mut visit: impl FnMut(u64),
) -> u64 {
    let (is_over, copies) = (AtomicBool::new(false), AtomicU64::new(0));
    let end = Instant::now() + deadline();
    thread::scope(|scope| {
        scope.spawn(|| {
            for file in files.iter().cycle() {
                overwrite(path, file, writing);
                copies.fetch_add(1, Ordering::Relaxed);
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                // A process that copies takes longer to start.
                thread::sleep(Duration::from_micros(200));
            }
        });
        // Also when a visit ends in a panic.
        let _over = Finally(|| is_over.store(true, Ordering::Relaxed));
        for number in 0.. {
            if number >= visits && copies.load(Ordering::Relaxed) > 1 {
                break;
            }
            assert!(number < visits || Instant::now() < end, "nobody writes");
            visit(number);
        }
    });
    copies.into_inner()
}

struct Finally<F: FnMut()>(F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn report(line: &str) {
    // Not by a macro, whose output the test runner would keep to itself.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

fn look_ups(rules: u32, visits: u64) {
    let folder = Folder::new();
    let files = files(&folder, rules);
    let path = folder.path("live.cdb");
    for writing in [Writing::Emptied, Writing::Over] {
        fs::write(&path, &files[0]).expect("the folder is ours");
        let mut rules = Rules::new(path.clone(), false);
        let (mut denied, mut dropped) = (0_u64, 0_u64);
        let copies = meanwhile(&path, &files, writing, visits, |visit| {
            match rules.verdict(at(VISITOR)) {
                Ok(verdict) => {
                    assert!(verdict.deny, "visit {visit}, {writing:?}: let in");
                    denied += 1;
                }
                Err(_) => dropped += 1,
            }
        });
        report(&format!(
            "{} bytes, {writing:?}, {copies} copies: 0 admitted, {denied} denied, {dropped} dropped",
            files[0].len()
        ));
        let verdict = rules.verdict(at(VISITOR));
        assert!(verdict.expect("nobody writes").deny);
    }
}

#[test]
fn visitor_is_never_let_in_while_a_small_file_is_overwritten() {
    look_ups(100, visits());
}

#[test]
fn visitor_is_never_let_in_while_a_large_file_is_overwritten() {
    // Each look waits until the file has been left alone for a moment, so that there are fewer.
    look_ups(2000, visits() / 100);
}

#[test]
fn server_never_serves_the_visitor_while_its_rules_are_overwritten() {
    let folder = Folder::new();
    let files = files(&folder, 100);
    let path = folder.path("rules.cdb");
    fs::write(&path, &files[0]).expect("the folder is ours");
    let args = ["-1HRl0", "-x", "rules.cdb", "127.0.0.1", "0", "echo", "in"];
    let launch = Launch::new(Programs::subject().path("tcpserver"), "tcpserver", args);
    let mut server = launch.spawn(&folder.0).expect("it is there");
    let line = server.stdout.as_ref().expect("a pipe").first_line();
    let port = String::from_utf8_lossy(&line).trim().parse();
    let port: u16 = port.expect("the port");
    let visits = visits() / 10;
    let copies = meanwhile(&path, &files, Writing::Emptied, visits, |visit| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server lives");
        stream
            .set_read_timeout(Some(deadline()))
            .expect("it is not zero");
        let mut received = Vec::new();
        // A connection that nobody serves may be reset.
        let _ = stream.read_to_end(&mut received);
        assert_eq!(received, b"", "visit {visit}");
    });
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    let log = server.outcome().stderr;
    let dropped = String::from_utf8_lossy(&log).lines().count();
    report(&format!(
        "over the network, {copies} copies, {visits} visits: 0 served, {dropped} dropped"
    ));
}
