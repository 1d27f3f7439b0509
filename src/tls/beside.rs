//! A program beside this process, which carries its connection: that of tlsd, tlsclient and tlsc.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use crate::cli::{During, Error, FAILED, reason};
use crate::sys::exec::Program;
use crate::sys::fd;
use crate::sys::process::{self, Ended};
use crate::sys::runtime::Runtime;
use crate::sys::signal::{self, Signal};
use crate::sys::spawn::{Failure, Spawner, Step, Streams};
use crate::ucspi::children::Children;

/// A program that is to be run.
pub(super) struct Beside {
    children: Rc<Children>,
    name: Vec<u8>,
}

/// Does `work`, which runs `program`, and ends as the program has.
///
/// # Errors
/// 111: no runtime; and those of `work`.
pub(super) fn run<F: Future<Output = Result<Ended, Error>>>(
    program: &[Vec<u8>],
    work: impl FnOnce(Beside) -> F,
) -> Result<(), Error> {
    process::keep_others_out().during("start")?;
    let ours = [Signal::SIGCHLD, Signal::SIGPIPE];
    for signal in ours {
        signal::set_default(signal);
    }
    let inherited = signal::block(&ours).during("block signals")?;
    let name = program[0].clone();
    let path = process::variable("PATH");
    let mask = inherited.without(Signal::SIGCHLD).without(Signal::SIGPIPE);
    let spawner = Program::new(&name, program, path.as_deref());
    let spawner = Spawner::new(spawner, mask, None, FAILED).during("get memory")?;
    let runtime = Runtime::new().during("start")?;
    let ended = runtime.wait(async move {
        let children = Rc::new(Children::new(spawner, None));
        children.reap_always().during("start")?;
        work(Beside { children, name }).await
    });
    process::end_like(ended?)
}

impl Beside {
    /// Runs the program with `stream` as its descriptors 0 and 1, or with ours, and waits for `carry` and for its end.
    ///
    /// # Errors
    /// 111: no process, or it cannot be run.
    pub(super) async fn run(
        self,
        stream: Option<OwnedFd>,
        others: Vec<OwnedFd>,
        environment: &[CString],
        carry: impl Future<Output = ()>,
    ) -> Result<Ended, Error> {
        for other in &others {
            fd::survive_exec(other.as_fd()).during("set up descriptors")?;
        }
        let streams = stream.as_ref().map_or(
            Streams {
                stdin: fd::STDIN,
                stdout: fd::STDOUT,
                stderr: None,
            },
            |stream| Streams::both(stream.as_fd()),
        );
        let environment = environment.iter().map(CString::as_c_str);
        let child = self.children.spawn(streams, environment, &mut []);
        let (mut child, failure) = child.during("fork")?;
        // What is the program's is held by nobody else.
        drop((stream, others));
        fd::occupy(0);
        fd::occupy(1);
        if let Some(Failure { step, error }) = failure {
            let doing = match step {
                Step::Run => [b"run ", &self.name[..]].concat(),
                Step::Descriptors => b"set up descriptors".to_vec(),
            };
            let why = reason(&error).as_bytes();
            return Err(Error::fatal(
                [b"unable to ", &doing[..], b": ", why].concat(),
            ));
        }
        let (ended, ()) = tokio::join!(child.gone(), carry);
        Ok(ended)
    }
}
