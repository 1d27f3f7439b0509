//! `tcpctl [ --json ] path request`: asks a server that runs, and tells it what to do.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use std::time::Duration;

use ucspi_tcp::cli::{self, Arguments, CommandLine, During, Error, Opt, Voice, group};
use ucspi_tcp::control::{self, Answer};
use ucspi_tcp::service::control::{Form, Request};
use ucspi_tcp::sys::{fd, process};

const COMMAND_LINE: CommandLine = CommandLine {
    name: "tcpctl",
    synopsis: "path request",
    purpose: "ask a server that runs, and tell it what to do",
};

const OPTIONS: &[Opt<Form>] = &[Opt::flag("json", "answer for programs, in JSON", |form| {
    *form = Form::Json
})];

/// How long a web request may take, from end to end.
const HTTP_LIMIT: Duration = Duration::from_secs(30);

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, _: &mut Voice) -> Result<(), Error> {
    let mut form = Form::Text;
    arguments.options(&mut [&mut group(&[OPTIONS], &mut form)])?;
    let path = arguments.operand().ok_or_else(Error::usage)?;
    let words = arguments.program()?;
    if words[..] == [b"http".to_vec()] {
        process::end_after(HTTP_LIMIT).during("set a limit")?;
        // Whoever asked and went away is nobody's trouble.
        let _ = control::serve(&path);
        return Ok(());
    }
    let request = words.join(&b' ');
    Request::parse(&request).map_err(|needed| no(needed.as_bytes()))?;
    let line = [form.word().as_bytes(), b" ", &request].concat();
    let doing = [b"ask the server at ", &path[..]].concat();
    match control::ask(&path, &line).during(doing)? {
        Answer::Yes(text) => fd::write_all(fd::STDOUT, &text).during("write output"),
        Answer::No(needed) => Err(no(&needed)),
    }
}

/// The request is none: what would have been one.
fn no(needed: &[u8]) -> Error {
    Error::operand([b"a request needs ", needed].concat())
}
