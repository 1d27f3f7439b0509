//! A world of a test's own: a network with only the loopback interface, an `/etc`, a host name.
//!
//! Namespaces belong to threads: each test runs in a thread of its own, and what it starts inherits them.
#![allow(unsafe_code, reason = "no library call sets an interface up")]
#![allow(
    clippy::disallowed_methods,
    reason = "the test program starts itself again, with a longer deadline, and as another user"
)]

use std::cell::Cell;
use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::{getegid, geteuid, sethostname};

use super::programs;
use super::temp::TempDir;
use super::trials::Verdict;
use super::wait;

/// The original needs 59 seconds to give up a name server.
const DEADLINE_SECONDS: &str = "120";

/// Services that tests call by their names. RFC 6335
const SERVICES: &str =
    "tcpmux 1/tcp\ndaytime 13/tcp\nsmtp 25/tcp\ntime 37/tcp\nfinger 79/tcp\nhttp 80/tcp\n";

/// What programs need of the real `/etc`.
const KEPT: [&str; 7] = [
    "services",
    "protocols",
    "passwd",
    "group",
    "nsswitch.conf",
    "ld.so.cache",
    "ld.so.conf",
];

/// Set in the run of the program that makes networks as root of a namespace of users.
const OWN_USERS: &str = "UCSPI_OWN_USERS";

thread_local! {
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

/// Which trials a run of the program is for.
///
/// Who is not root can make networks only as root of a namespace of users, as which he would also be root to the trials
/// that need no network. So there are two runs for him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    All,
    Outside,
    InOwnNet,
}

impl Part {
    pub(crate) fn has(self, in_own_net: bool) -> bool {
        match self {
            Self::All => true,
            Self::Outside => !in_own_net,
            Self::InOwnNet => in_own_net,
        }
    }

    /// Runs the other part, if there is one, after a run that ended with `code`.
    pub(crate) fn and_the_other(self, code: ExitCode) -> ExitCode {
        if self != Self::Outside {
            return code;
        }
        let other = this_program().env(OWN_USERS, "1").status();
        if other.expect("the test can start itself").success() {
            code
        } else {
            ExitCode::from(101)
        }
    }
}

/// To be called first, while there is only one thread: gives the tests time, descriptors and, where they do not run as
/// root, the right to make namespaces.
pub(crate) fn prepare() -> Part {
    programs::this_test();
    if std::env::var_os("UCSPI_DEADLINE").is_none() {
        let error = this_program()
            .env("UCSPI_DEADLINE", DEADLINE_SECONDS)
            .env_remove("DNSCACHEIP")
            .env_remove("DNSREWRITEFILE")
            .env_remove("LOCALDOMAIN")
            .exec();
        panic!("the test cannot start itself: {error}");
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits can be read");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit");
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        return Part::All;
    }
    if !super::is_set(OWN_USERS) {
        return Part::Outside;
    }
    if unshare(CloneFlags::CLONE_NEWUSER).is_ok() {
        // Failing here shows when a test enters its world.
        let _ = fs::write("/proc/self/setgroups", "deny");
        let _ = fs::write("/proc/self/uid_map", format!("0 {uid} 1"));
        let _ = fs::write("/proc/self/gid_map", format!("0 {gid} 1"));
    }
    Part::InOwnNet
}

/// This test program, with the same arguments.
fn this_program() -> Command {
    let mut command = Command::new(programs::this_test());
    command.args(std::env::args_os().skip(1));
    command
}

/// Runs `test` in a new world.
pub(crate) fn within(test: impl Fn() -> Verdict + Send + Sync) -> Verdict {
    let run = || {
        let etc = TempDir::new();
        match enter(etc.path()) {
            Ok(()) => test(),
            Err(why) => cannot(why),
        }
    };
    std::thread::scope(|scope| scope.spawn(run).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What a test is worth that the system does not permit.
pub(crate) fn cannot(why: String) -> Verdict {
    Verdict::cannot(why, "UCSPI_NETNS_REQUIRED")
}

/// Moves this thread into a network in which nobody else is, with nothing but a loopback interface.
///
/// # Errors
/// The system does not permit it.
pub(crate) fn enter_network() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|error| format!("no network namespaces here: {}", error.desc()))?;
    loopback_up().map_err(|error| format!("cannot set the loopback interface up: {error}"))
}

/// Moves this thread into a new world, in which `etc` is `/etc`.
fn enter(etc: &Path) -> Result<(), String> {
    let flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS;
    unshare(flags).map_err(|error| format!("no namespaces here: {}", error.desc()))?;
    let nothing = None::<&str>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(nothing, "/", nothing, private, nothing)
        .map_err(|error| format!("cannot keep mounts private: {}", error.desc()))?;
    for name in KEPT {
        if let Ok(content) = fs::read(Path::new("/etc").join(name)) {
            fs::write(etc.join(name), content).expect("the new /etc is ours");
        }
    }
    // Debian's base alone has none.
    if !etc.join("services").exists() {
        fs::write(etc.join("services"), SERVICES).expect("the new /etc is ours");
    }
    // Where Debian says which of several programs awk is.
    if let Ok(awk) = fs::read_link("/etc/alternatives/awk") {
        fs::create_dir(etc.join("alternatives"))
            .and_then(|()| std::os::unix::fs::symlink(awk, etc.join("alternatives/awk")))
            .expect("the new /etc is ours");
    }
    mount(Some(etc), "/etc", nothing, MsFlags::MS_BIND, nothing)
        .map_err(|error| format!("cannot mount an /etc: {}", error.desc()))?;
    sethostname("host").map_err(|error| format!("cannot set the host name: {}", error.desc()))?;
    enter_network()?;
    IS_OURS.set(true);
    Ok(())
}

/// Writes the file `/etc/<name>` of this world.
pub(crate) fn etc(name: &str, content: impl AsRef<[u8]>) {
    assert!(IS_OURS.get(), "this /etc is not ours");
    fs::write(Path::new("/etc").join(name), content).expect("this /etc is ours");
}

/// Binds a port of this world. Nobody else has it, but what another test has just forked may still hold the descriptor of
/// an earlier owner, until its exec.
pub(crate) fn bound<T>(bind: impl Fn() -> std::io::Result<T>) -> T {
    wait::had("the port is free", || bind().ok())
}

/// Makes a folder where a file is expected.
pub(crate) fn etc_folder(name: &str) {
    assert!(IS_OURS.get(), "this /etc is not ours");
    fs::create_dir(Path::new("/etc").join(name)).expect("this /etc is ours");
}

/// Gives this world another host name.
pub(crate) fn host_name(name: &str) {
    assert!(IS_OURS.get(), "this host is not ours");
    sethostname(name).expect("this host is ours");
}

/// netdevice(7), "SIOCSIFFLAGS".
fn loopback_up() -> std::io::Result<()> {
    let any = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // SAFETY: all bytes zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = from.cast_signed();
    }
    let flags = i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).expect("they are small");
    request.ifr_ifru.ifru_flags = flags;
    // SAFETY: the request is a valid ifreq that lives through the call.
    let result = unsafe { libc::ioctl(any.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) };
    nix::errno::Errno::result(result)?;
    Ok(())
}
