//! The control socket: asking a server how it is, and telling it what to do.
//!
//! A UNIX socket that only its owner can open. Whoever connects sends one line, `FORM REQUEST` (see [`Form`], [`Request`]),
//! and gets `ok` or `no` in a line, and the answer, up to the end. At most `ASKERS_MAX` are heard at once, each for
//! `PATIENCE` at most; more wait. The listener is closed when the service begins to end, so that the next server can take
//! its place.

mod metrics;
mod page;
mod request;
mod view;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener as Bound;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

pub use request::{Form, Request};
use view::View;

use super::list::List;
use super::listening::Privileges;
use super::serve::Service;
use super::slots::Count;
use super::sources::Sources;
use super::tally::Tally;
use crate::cli::{During, Error, Opt};
use crate::sys::{control, fd, process};

/// The control socket, bound.
#[derive(Debug)]
pub struct Control {
    listener: Bound,
    file: SocketFile,
}

/// The file of a socket, which goes when this is dropped.
#[derive(Debug)]
struct SocketFile(PathBuf);

/// What can be asked.
pub(crate) struct Answers {
    /// The program's name.
    pub(crate) name: &'static str,
    /// Where it listens.
    pub(crate) address: String,
    pub(crate) service: Rc<Service>,
    pub(crate) tally: Rc<Tally>,
    pub(crate) list: List,
    pub(crate) sources: Sources,
}

/// How many are heard at once.
const ASKERS_MAX: u32 = 4;
/// How long one is heard.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a request can be, with its line feed.
const REQUEST_BYTES: usize = 256;
/// How many connections are listed at most.
const LIST_MAX: usize = 10_000;
/// How many connections a page or an overview shows at most.
const SHORT_LIST: usize = 100;
/// How many sources are shown.
const TOP: usize = 20;

impl Control {
    /// The option for its path.
    pub const OPTIONS: &'static [Opt<Option<PathBuf>>] = &[Opt::value(
        "control",
        "path",
        "listen at this UNIX socket for tcpctl",
        |path, value| {
            use std::os::unix::ffi::OsStringExt;
            *path = Some(std::ffi::OsString::from_vec(value.bytes()).into());
            Ok(())
        },
    )];

    /// Binds the socket `path`, mode 0600, for whom `privileges` will make of us. A socket that nobody listens at is replaced.
    ///
    /// # Errors
    /// 111: it cannot be bound, or somebody listens there.
    pub(crate) fn bind(path: PathBuf, privileges: Privileges) -> Result<Self, Error> {
        let Privileges { uid, gid } = privileges;
        let listener = control::listen(&path, uid, gid).during(doing(&path))?;
        let file = SocketFile(path);
        Ok(Self { listener, file })
    }

    /// The socket `path` of the process before, which has left it as the descriptor `number`.
    ///
    /// # Errors
    /// 111: it has not.
    pub(crate) fn continued(path: PathBuf, number: i32) -> Result<Self, Error> {
        let listener = fd::take_inherited(number).during(doing(&path))?.into();
        let file = SocketFile(path);
        Ok(Self { listener, file })
    }

    /// Another descriptor of the same socket.
    ///
    /// # Errors
    /// 111: no more descriptors.
    pub(crate) fn copy(&self) -> Result<OwnedFd, Error> {
        self.listener
            .as_fd()
            .try_clone_to_owned()
            .during("get a descriptor")
    }

    /// Starts a task that answers.
    ///
    /// # Errors
    /// 111: the runtime cannot watch the socket.
    pub(crate) fn answer(self, answers: Answers) -> Result<(), Error> {
        let Self { listener, file } = self;
        let listener = UnixListener::from_std(listener).during(doing(&file.0))?;
        let answers = Rc::new(answers);
        tokio::task::spawn_local(async move {
            let service = Rc::clone(&answers.service);
            tokio::select! {
                () = accept(listener, answers) => {}
                () = service.ends() => {}
            }
            drop(file);
        });
        Ok(())
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Where the folder is another's, the next server replaces it.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn doing(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    [b"listen at ", path.as_os_str().as_bytes()].concat()
}

async fn accept(listener: UnixListener, answers: Rc<Answers>) {
    let askers = Count::default();
    loop {
        askers.below(|| ASKERS_MAX).await;
        let Ok((asker, _)) = listener.accept().await else {
            // No descriptor: there may be one soon.
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        let heard = askers.enter();
        let answers = Rc::clone(&answers);
        tokio::task::spawn_local(async move {
            // Whoever is too slow gets no answer, or half of one.
            let _ = timeout(PATIENCE, serve(asker, &answers)).await;
            drop(heard);
        });
    }
}

async fn serve(mut asker: UnixStream, answers: &Answers) -> io::Result<()> {
    let mut room = [0; REQUEST_BYTES];
    let mut length = 0;
    let line = loop {
        let more = asker.read(&mut room[length..]).await?;
        length += more;
        match room[..length].iter().position(|&byte| byte == b'\n') {
            Some(end) => break Some(&room[..end]),
            None if more == 0 => break None,
            None => {}
        }
    };
    let answer = match line {
        Some(line) => answers.answer(line),
        None => Err("a line of at most 255 bytes".to_owned()),
    };
    let (word, text) = match &answer {
        Ok(text) => ("ok\n", text),
        Err(text) => ("no\n", text),
    };
    asker.write_all(word.as_bytes()).await?;
    asker.write_all(text.as_bytes()).await?;
    asker.shutdown().await
}

impl Answers {
    /// The answer to a request, or what would have been one.
    fn answer(&self, line: &[u8]) -> Result<String, String> {
        let (form, request) = Form::split(line).ok_or("text REQUEST or json REQUEST")?;
        let request = Request::parse(request)?;
        let json = |text: fn(&View) -> String, json: fn(&View) -> String| match form {
            Form::Text => text,
            Form::Json => json,
        };
        let told = |view: View, print: fn(&View) -> String| Ok(print(&view));
        match request {
            Request::Status => told(
                self.view(0, 0),
                json(View::status, |view| line_of(view.status_json())),
            ),
            Request::Counters => told(
                self.view(0, 0),
                json(View::counters, |view| line_of(view.counters_json())),
            ),
            Request::List => told(
                self.view(LIST_MAX, 0),
                json(View::list, |view| lines_of(view.list_json())),
            ),
            Request::Top => told(
                self.view(0, TOP),
                json(View::top, |view| lines_of(view.top_json())),
            ),
            Request::Overview => told(self.view(SHORT_LIST, TOP), |view| line_of(view.overview())),
            Request::Metrics => told(self.view(0, 0), metrics::metrics),
            Request::Page => told(self.view(SHORT_LIST, TOP), page::page),
            Request::Limit(limit) => {
                self.service.set_limit(limit);
                Ok(String::new())
            }
            Request::Drain => {
                self.service.end();
                Ok(String::new())
            }
            Request::Ban(prefix, time) => {
                if self.sources.ban(prefix, time) {
                    Ok(String::new())
                } else {
                    Err("fewer bans".to_owned())
                }
            }
            Request::Unban(prefix) => {
                if self.sources.unban(prefix) {
                    Ok(String::new())
                } else {
                    Err("a prefix that is banned, or holds a source with a penalty".to_owned())
                }
            }
        }
    }

    /// What there is to see, with so many connections and sources at most.
    fn view(&self, rows: usize, top: usize) -> View {
        let (open, limit) = self.service.open();
        View {
            name: self.name,
            pid: process::id(),
            address: self.address.clone(),
            age: self.tally.age(),
            open,
            limit,
            counts: self.tally.counts(),
            spans: self.tally.spans().into(),
            rows: if rows == 0 {
                Vec::new()
            } else {
                self.list.oldest(rows)
            },
            top: if top == 0 {
                Vec::new()
            } else {
                self.sources.top(top)
            },
            sources: self.sources.count(),
            bans: self.sources.bans(),
        }
    }
}

fn line_of(json: crate::cli::Json) -> String {
    json.done() + "\n"
}

/// An array, one object a line.
fn lines_of(items: impl Iterator<Item = crate::cli::Json>) -> String {
    let items: Vec<String> = items.map(crate::cli::Json::done).collect();
    format!("[{}]\n", items.join(",\n"))
}
