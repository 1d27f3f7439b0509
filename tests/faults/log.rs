//! A log that is full: nobody reads it, for a while or for ever.
#![allow(unsafe_code, reason = "no library call says how full a pipe is")]

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use crate::service::FRIEND;
use crate::support::capture::Capture;
use crate::support::launch::Output;
use crate::support::net;
use crate::support::process::describe;
use crate::world::{self, Server, World, eventually, lossy};

/// Bytes of a log that is full soon.
const SMALL: i32 = 8192;
/// Longer than a server takes to write a line.
const A_WHILE: Duration = Duration::from_millis(100);

/// A log that nobody reads yet.
struct Unread {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Unread {
    fn new(is_nonblocking: bool) -> Self {
        let (reader, writer) = nix::unistd::pipe().expect("a pipe");
        fcntl(&writer, FcntlArg::F_SETPIPE_SZ(SMALL)).expect("a pipe can be small");
        if is_nonblocking {
            fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a pipe takes flags");
        }
        Self { reader, writer }
    }

    fn serve(&self, world: &World, options: &[&str], program: &[&str]) -> Server {
        let words = [
            &["-1", "-v", "-HRl0"],
            options,
            &["127.0.0.1", "0"],
            program,
        ]
        .concat();
        let writer = self.writer.try_clone().expect("a descriptor can be copied");
        let launch = world.program("tcpserver", words);
        Server::on(world.start(launch.stderr(Output::File(writer.into()))))
    }

    /// It is full, and nobody has written to it for a while.
    fn is_stuck(&self) -> bool {
        let before = self.length();
        std::thread::sleep(A_WHILE);
        let mut log = [PollFd::new(self.writer.as_fd(), PollFlags::POLLOUT)];
        let writable = poll(&mut log, PollTimeout::ZERO).expect("a pipe can be polled");
        writable == 0 && self.length() == before
    }

    /// How many bytes wait in it. ioctl_pipe(2), in pipe(7).
    fn length(&self) -> libc::c_int {
        let mut length = 0;
        // SAFETY: the call fills one int, which lives through it.
        unsafe { libc::ioctl(self.reader.as_raw_fd(), libc::FIONREAD, &raw mut length) };
        length
    }

    fn wait_until_it_is_stuck(&self) {
        eventually("the log is full", || self.is_stuck());
    }

    /// Reads it from here on.
    fn read(self) -> Capture {
        Capture::of(File::from(self.reader))
    }
}

/// Visits until it is not served; gives how often it was.
fn visit(port: u16, count: usize) -> usize {
    let is_served = |_: &usize| {
        let stream = net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, port, |_| false);
        stream.is_ok_and(|mut stream| net::receive_all(&mut stream) == b"served\n")
    };
    (0..count).take_while(is_served).count()
}

#[test]
fn log_that_nobody_reads_blocks_the_server_and_loses_nothing() {
    let Some(world) = world::with(&["echo"]) else {
        return;
    };
    for is_nonblocking in [false, true] {
        let log = Unread::new(is_nonblocking);
        let mut server = log.serve(&world, &[], &["echo", "served"]);
        let port = server.port;
        let visitor = std::thread::spawn(move || visit(port, 500));
        log.wait_until_it_is_stuck();
        let log = log.read();
        assert_eq!(visitor.join().expect("nobody panics"), 500);
        log.wait_for(" end ", 500);
        server.process.signal(Signal::SIGTERM);
        assert_eq!(server.process.wait().code(), Some(0));
        let log = lossy(&log.to_end());
        for start in ["pid", "ok", "end"] {
            assert_eq!(world::count(&log, &format!("tcpserver: {start} ")), 500);
        }
        let is_whole = |line: &str| {
            let words = ["status: ", "pid ", "ok ", "end "];
            let rest = line.strip_prefix("tcpserver: ").unwrap_or_default();
            words.iter().any(|word| rest.starts_with(word)) && !rest.contains("tcpserver")
        };
        assert!(log.lines().all(is_whole), "{log}");
    }
}

#[test]
fn server_whose_log_is_full_ends_when_told() {
    let Some(world) = world::with(&["echo"]) else {
        return;
    };
    for options in [&[][..], &["--drain=0"], &["--drain=0", "--kill=0"]] {
        for is_nonblocking in [false, true] {
            let log = Unread::new(is_nonblocking);
            let mut server = log.serve(&world, options, &["echo", "served"]);
            let port = server.port;
            let visitor = std::thread::spawn(move || visit(port, usize::MAX));
            log.wait_until_it_is_stuck();
            server.process.signal(Signal::SIGTERM);
            let status = server.process.wait();
            assert_eq!(describe(status), "exit: 0", "{options:?} {is_nonblocking}");
            visitor.join().expect("nobody panics");
        }
    }
}

/// What is lost for want of room is lost whole.
#[test]
fn server_whose_log_stays_full_while_it_drains_keeps_its_limits() {
    let Some(world) = world::with(&["sh", "cat"]) else {
        return;
    };
    let log = Unread::new(false);
    let program = ["sh", "-c", "trap '' TERM; echo served; exec cat"];
    let mut server = log.serve(&world, &["-c1000", "--drain=0", "--kill=1"], &program);
    let port = server.port;
    let connect = || net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, port, |_| false);
    let mut held = Vec::new();
    eventually("the log is full", || {
        (0..10).for_each(|_| held.extend(connect()));
        log.is_stuck()
    });
    server.process.signal(Signal::SIGTERM);
    assert_eq!(describe(server.process.wait()), "exit: 0");
    // All programs were ended.
    for stream in &mut held {
        net::receive_all(stream);
    }
    let log = lossy(&log.read().to_end());
    assert!(
        log.lines().all(|line| line.starts_with("tcpserver: ")),
        "{log}"
    );
}
