//! `rblsmtpd [ options ] smtpd [ arg ... ]`: runs an SMTP server, unless the client is on a block list.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Opt, Voice, number};
use ucspi_tcp::smtp::{BlockList, Lists, Verdict, refuse};
use ucspi_tcp::sys::process;
use ucspi_tcp::ucspi::environ;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "rblsmtpd",
    // The original's line, which shows -R, that no version takes.
    synopsis: "[ -b ] [ -R ] [ -t timeout ] [ -r base ] [ -a base ] smtpd [ arg ... ]",
    purpose: "run an SMTP server, unless the client is on a block list",
    options: &[
        Opt::flag("b", "reject with 553: who is listed need not try again"),
        Opt::flag(
            "B",
            "reject with 451: who is listed may try again (default)",
        ),
        Opt::flag("c", "a list that cannot be asked counts against the client"),
        Opt::flag("C", "a list that cannot be asked does not count (default)"),
        Opt::flag("i", "do not reject, only tell the server, in $RBLSMTPD"),
        Opt::value(
            "t",
            "timeout",
            "talk with a rejected client for this many seconds (default 60)",
        ),
        Opt::value(
            "r",
            "base",
            "reject who has a TXT record in this list; with base:text, who has an A record",
        ),
        Opt::value("a", "base", "accept who has an A record in this list"),
        Opt::value(
            "w",
            "delay",
            "wait this many seconds before the greeting, if nothing is decided yet",
        ),
        Opt::flag("W", "wait as long as $GREETDELAY says"),
    ],
};

fn main() -> ExitCode {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    let client = Client::from_environment();
    let mut lists = Lists::new(&client.address, process::variable("RBLSMTPD"), *voice)?;
    let was_open = lists.is_open();
    let mut informs = false;
    let mut limit = Duration::from_secs(60);
    let mut delay = 0;
    while let Some(option) = arguments.option()? {
        match option.name {
            "b" => lists.permanently = true,
            "B" => lists.permanently = false,
            "c" => lists.fails_closed = true,
            "C" => lists.fails_closed = false,
            "i" => informs = true,
            "t" => limit = option.value.seconds()?,
            "r" => {
                let list = option
                    .value
                    .parse("a list, or list:text", BlockList::parse)?;
                lists.block(&list);
            }
            "a" => lists.allow(&option.value.bytes()),
            "w" => {
                delay = option.value.number(0..=u32::MAX)?;
                client.wait(&lists, delay, voice);
            }
            "W" => client.wait(&lists, delay, voice),
            _ => return Err(Error::usage()),
        }
    }
    let program = arguments.program()?;
    let mut environment = process::environment();
    match lists.verdict() {
        Verdict::Accept => {}
        Verdict::Reject { text, .. } if informs && was_open => {
            let text = [b"[RBL info] ", &cut(&text)[..]].concat();
            client.log(&text, voice);
            environment = environ::with(&environment, "RBLSMTPD", &text);
        }
        Verdict::Reject { permanently, text } => {
            let code: &[u8] = if permanently { b"553 " } else { b"451 " };
            let answer = [code, &cut(&text)[..]].concat();
            client.log(&answer, voice);
            refuse(&answer, limit);
            return Ok(());
        }
    }
    cli::exec(&program[0], &program, &environment)
}

/// The most that is said of a text, in bytes: a reply is at most 512. RFC 5321 section 4.5.3.1.5.
const TEXT_BYTES: usize = 500;

/// `text`, cut, with everything that does not print as a question mark.
fn cut(text: &[u8]) -> Vec<u8> {
    let clean = |&byte: &u8| if matches!(byte, 32..=126) { byte } else { b'?' };
    text.iter().take(TEXT_BYTES).map(clean).collect()
}

/// The client, as tcpserver describes it.
struct Client {
    /// The address as it was given.
    address: Vec<u8>,
}

impl Client {
    fn from_environment() -> Self {
        let is_ipv6 = process::variable("PROTO").is_some_and(|proto| proto == b"TCP6");
        let address = if is_ipv6 {
            process::variable("TCP6REMOTEIP").unwrap_or_else(|| b"::".to_vec())
        } else {
            process::variable("TCPREMOTEIP").unwrap_or_default()
        };
        Self { address }
    }

    /// One line: the address, our pid, and `text`.
    fn log(&self, text: &[u8], voice: &Voice) {
        let pid = format!(" pid {}: ", process::id());
        voice.warn(&[&self.address, pid.as_bytes(), text]);
    }

    /// Waits `delay` seconds, or as long as `$GREETDELAY` says when that is 0, unless all is decided.
    fn wait(&self, lists: &Lists, delay: u32, voice: &Voice) {
        let told = || process::variable("GREETDELAY").and_then(|text| number(&text));
        let delay = if delay == 0 {
            told().unwrap_or(0)
        } else {
            delay
        };
        if delay > 0 && lists.is_open() {
            self.log(format!("greetdelay: {delay}").as_bytes(), voice);
            std::thread::sleep(Duration::from_secs(delay.into()));
        }
    }
}
