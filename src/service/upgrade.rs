//! A new version of the program in the same process: it executes its file again, and goes on with what it has.
//!
//! First a trial: a child runs the file with the same words, takes the state that it gets on descriptor 0, and says on
//! descriptor 1 that it could serve. Only then the process executes the file itself, with the state on descriptor 0 again.
//! Until that succeeds the old one serves. The state is a sealed file in memory with a version number; who has another one
//! refuses it, in the trial.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::timeout;

use super::listening::ROLE;
use super::pack::{Packer, Unpacker};
use crate::cli::{Error, FAILED, Opt, reason};
use crate::sys::exec::{Program, c_string};
use crate::sys::file::Version;
use crate::sys::limit::Descriptors;
use crate::sys::process::{self, Pid};
use crate::sys::signal::{Mask, Signal};
use crate::sys::spawn::{Spawner, Streams};
use crate::sys::{fd, memfile, watch};

/// The option for it, of servers that can let go of their connections.
pub const UPGRADE: &[Opt<bool>] = &[Opt::flag(
    "upgrade",
    "at SIGUSR2, go on with the program that then is in the place of this one",
    |is_upgradable| *is_upgradable = true,
)];

const TRIAL: &[u8] = b"try";
const SUCCESSOR: &[u8] = b"go";

/// What the file of the state begins with: a name, and the version of all that follows.
const FORMAT: &[u8] = b"ucspi-tcp state 1\n";
/// What a trial says, of the same version.
const READY: &[u8] = b"ucspi-tcp ready 1\n";

/// How long a trial may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a process gives to the one that goes on with it, or to a trial.
#[derive(Debug)]
pub(crate) struct State {
    /// The signal mask that the first of them was started with.
    pub(crate) mask: Mask,
    /// The numbers of descriptors that listen, in the order of the places.
    pub(crate) listeners: Vec<i32>,
    /// The same of the control socket, if there is one.
    pub(crate) control: Option<i32>,
    /// How many connections may be open at once.
    pub(crate) limit: u32,
    /// What the server itself knows.
    pub(crate) rest: Vec<u8>,
}

impl State {
    fn pack(&self) -> Vec<u8> {
        let mut packer = Packer::default();
        packer.list(self.mask.numbers().into_iter(), Packer::number);
        packer.list(self.listeners.iter(), |to, number| to.text(number));
        packer.maybe(self.control, |to, number| to.text(number));
        packer.number(self.limit);
        packer.bytes(&self.rest);
        [FORMAT, &packer.done()].concat()
    }

    fn unpack(bytes: &[u8]) -> Option<Self> {
        let mut from = Unpacker::new(bytes.strip_prefix(FORMAT)?);
        let state = Self {
            mask: Mask::of(&from.list(Unpacker::number)?),
            listeners: from.list(Unpacker::text)?,
            control: from.maybe(Unpacker::text)?,
            limit: from.number()?,
            rest: from.bytes()?.to_vec(),
        };
        from.is_done().then_some(state)
    }
}

/// What this process is.
#[derive(Debug)]
pub(super) enum Role {
    /// The first one.
    First,
    /// It tries whether it could go on from there.
    Trial(State),
    /// It goes on from there.
    Successor(State),
}

/// What this process is, with the state from descriptor 0.
///
/// # Errors
/// 111: that is none, or of another version.
pub(super) fn role() -> Result<Role, Error> {
    let role = match process::variable(ROLE).as_deref() {
        Some(TRIAL) => Role::Trial,
        Some(SUCCESSOR) => Role::Successor,
        _ => return Ok(Role::First),
    };
    let unable = |why: &str| Error::fatal(format!("unable to go on from another process: {why}"));
    let bytes = memfile::read(fd::STDIN).map_err(|error| unable(reason(&error)))?;
    let state = State::unpack(&bytes);
    state
        .map(role)
        .ok_or_else(|| unable("its state is of another version"))
}

/// True when this process goes on from another one.
pub(crate) fn is_next() -> bool {
    process::variable(ROLE).as_deref() == Some(SUCCESSOR)
}

/// Says that this trial could serve.
pub(super) fn say_ready() {
    let _ = fd::write_all(fd::STDOUT, READY);
}

/// The file that this process runs, under the name by which it was executed: a link may lead elsewhere by the time it is
/// executed again. With its folder, since ours may change. Where that name does not lead to it, its own; but for one that
/// `is_next`, executed by another process in its own place, the name counts wherever it leads by now.
pub(crate) fn own_file(is_next: bool) -> Vec<u8> {
    let executed = process::executed_as();
    if let Some(name) = executed.as_ref().filter(|_| is_next) {
        return name.clone();
    }
    let own = Path::new("/proc/self/exe");
    let is_own = |name: &Path| match (std::fs::metadata(name), std::fs::metadata(own)) {
        (Ok(named), Ok(own)) => (named.dev(), named.ino()) == (own.dev(), own.ino()),
        _ => false,
    };
    // The interpreter of a script has its own name in argv[0], as that writes it.
    let names = [executed, process::invoked_as()];
    let mut names = names.into_iter().flatten();
    let named = names.find_map(|name| {
        let name = std::path::absolute(OsStr::from_bytes(&name)).ok()?;
        // Who was executed by a descriptor has no name.
        (!name.starts_with("/dev/fd") && is_own(&name)).then_some(name)
    });
    let file = named.unwrap_or_else(|| std::fs::read_link(own).unwrap_or_default());
    file.into_os_string().into_vec()
}

/// The program that this process runs, as it is in its place by now.
#[derive(Debug)]
pub(crate) struct Successor {
    path: Vec<u8>,
    program: Program,
    /// What the file was when it was tried.
    tried: Version,
    /// The limits that the first process was started with.
    limits: Option<Descriptors>,
}

impl Successor {
    /// Tries the file `path`: whether it could go on from `state`. `ended` waits for the end of a child. A trial that is not
    /// waited for any more is ended.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn tried<F: Future<Output = ()>>(
        path: &[u8],
        state: &State,
        limits: Option<Descriptors>,
        ended: impl FnOnce(Pid) -> F,
    ) -> Result<Self, String> {
        let words = |error: io::Error| reason(&error).to_string();
        let mut arguments = vec![process::invoked_as().unwrap_or_default()];
        arguments.extend(process::arguments());
        let program = || Program::new(path, &arguments, None);
        let tried = version(path).map_err(words)?;
        let file = memfile::sealed(&state.pack()).map_err(words)?;
        let (says, said) = fd::pipe().map_err(words)?;
        let spawner = Spawner::new(program(), state.mask, limits, FAILED);
        let streams = Streams {
            stdin: file.as_fd(),
            stdout: said.as_fd(),
            stderr: None,
        };
        let environment = environment(TRIAL);
        let environment = environment.iter().map(CString::as_c_str);
        let spawned = spawner.and_then(|mut it| it.spawn(streams, environment, &mut [], None));
        drop(said);
        let (pid, failure) = spawned.map_err(words)?;
        let mut trial = Trial {
            pid,
            ended: Box::pin(ended(pid)),
            is_over: false,
        };
        let heard = match failure {
            Some(failure) => Err(words(failure.error)),
            None => hear(says).await.map_err(str::to_owned),
        };
        if heard.is_err() {
            trial.end();
        }
        if timeout(PATIENCE, trial.over()).await.is_err() {
            return Err("it does not end".into());
        }
        heard?;
        Ok(Self {
            path: path.to_vec(),
            program: program(),
            tried,
            limits,
        })
    }

    /// Looks whether the file is the one that was tried.
    ///
    /// # Errors
    /// It is not, in words.
    pub(crate) fn is_as_tried(&self) -> Result<(), String> {
        if version(&self.path).ok().as_ref() == Some(&self.tried) {
            Ok(())
        } else {
            Err("the file has changed since it was tried".into())
        }
    }

    /// Becomes the program, which goes on from `state` with the descriptors `kept`; returns only with the reason why not,
    /// and then all is as it was.
    pub(crate) fn become_it(&self, state: &State, kept: &[BorrowedFd<'_>]) -> String {
        let ours = Descriptors::now();
        if let Err(why) = self.is_as_tried() {
            return why;
        }
        let attempt = || -> io::Result<()> {
            let file = memfile::sealed(&state.pack())?;
            fd::copy_to(file.as_fd(), 0)?;
            for &descriptor in kept {
                fd::survive_exec(descriptor)?;
            }
            if let Some(limits) = self.limits {
                limits.apply()?;
            }
            let environment = environment(SUCCESSOR);
            match self
                .program
                .exec(environment.iter().map(CString::as_c_str))? {}
        };
        let error = attempt().err();
        if let (Some(_), Ok(ours)) = (self.limits, ours) {
            let _ = ours.apply();
        }
        for &descriptor in kept {
            let _ = fd::close_on_exec(descriptor);
        }
        fd::occupy(0);
        error
            .map(|error| reason(&error).to_string())
            .unwrap_or_default()
    }
}

/// A child that tries. It is ended when this is dropped.
struct Trial<F: Future<Output = ()>> {
    pid: Pid,
    ended: Pin<Box<F>>,
    is_over: bool,
}

impl<F: Future<Output = ()>> Trial<F> {
    /// Waits until it has ended.
    async fn over(&mut self) {
        if !self.is_over {
            self.ended.as_mut().await;
            self.is_over = true;
        }
    }

    /// Ends it.
    fn end(&mut self) {
        // Looked at first: its number may be another's by now.
        let mut context = Context::from_waker(Waker::noop());
        self.is_over = self.is_over || self.ended.as_mut().poll(&mut context).is_ready();
        if !self.is_over {
            let _ = process::send(self.pid, Signal::SIGKILL);
        }
    }
}

impl<F: Future<Output = ()>> Drop for Trial<F> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until a trial has said that it could serve, and nothing else.
async fn hear(says: OwnedFd) -> Result<(), &'static str> {
    let mut text = Vec::new();
    let all = async {
        fd::set_nonblocking(&says)?;
        let says = watch::readable(says)?;
        let mut room = [0; 64];
        while text.len() <= READY.len() {
            let mut ready = says.readable().await?;
            match fd::read(says.get_ref(), &mut room) {
                Ok(0) => break,
                Ok(length) => text.extend_from_slice(&room[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    match timeout(PATIENCE, all).await {
        Err(_) => Err("it is not ready in 5 seconds"),
        Ok(Ok(())) if text == READY => Ok(()),
        Ok(_) => Err("it does not say that it is ready"),
    }
}

fn version(path: &[u8]) -> io::Result<Version> {
    let metadata = std::fs::metadata(Path::new(OsStr::from_bytes(path)))?;
    Ok(Version::of(&metadata))
}

/// Our environment, with the variable that tells what the next process is.
fn environment(role: &[u8]) -> Vec<CString> {
    let mut all = process::environment();
    all.retain(|entry| {
        !entry
            .to_bytes()
            .starts_with(&[ROLE.as_bytes(), b"="].concat())
    });
    all.push(c_string(&[ROLE.as_bytes(), b"=", role].concat()));
    all
}

#[cfg(test)]
mod tests {
    use super::{FORMAT, Mask, State};

    #[test]
    fn state_comes_out_as_it_went_in_and_another_version_does_not() {
        let state = State {
            mask: Mask::of(&[15, 17]),
            listeners: vec![7, 9],
            control: Some(11),
            limit: 40,
            rest: b"rest".to_vec(),
        };
        let bytes = state.pack();
        let again = State::unpack(&bytes).unwrap();
        assert_eq!(again.mask.numbers(), [15, 17]);
        assert_eq!((again.listeners, again.control), (vec![7, 9], Some(11)));
        assert_eq!((again.limit, &again.rest[..]), (40, &b"rest"[..]));
        for cut in 0..bytes.len() {
            assert!(State::unpack(&bytes[..cut]).is_none());
        }
        let mut other = bytes;
        other[FORMAT.len() - 2] = b'2';
        assert!(State::unpack(&other).is_none());
    }
}
