//! `rblsmtpd [ options ] smtpd [ arg ... ]`: runs an SMTP server, unless the client is on a block list.
#![forbid(unsafe_code)]
#![cfg_attr(not(any(test, feature = "one")), no_main)]

use std::time::Duration;

use ucspi_tcp::cli::{self, Arguments, CommandLine, Error, Opt, Voice, group, number};
use ucspi_tcp::smtp::{BlockList, Lists, Verdict, refuse};
use ucspi_tcp::sys::process;
use ucspi_tcp::ucspi::environ;

const COMMAND_LINE: CommandLine = CommandLine {
    name: "rblsmtpd",
    // The original's line, which shows -R, that no version takes.
    synopsis: "[ -b ] [ -R ] [ -t timeout ] [ -r base ] [ -a base ] smtpd [ arg ... ]",
    purpose: "run an SMTP server, unless the client is on a block list",
};

/// What the options add up to. Lists are asked, and the client waits, as the options come.
struct Session {
    client: Client,
    lists: Lists,
    /// A listed client is not rejected; the server is told.
    informs: bool,
    /// How long to talk with a rejected client.
    limit: Duration,
    /// Seconds to wait before the greeting; 0 means as many as `$GREETDELAY` says.
    delay: u32,
    voice: Voice,
}

const OPTIONS: &[Opt<Session>] = &[
    Opt::flag(
        "b",
        "reject with 553: who is listed need not try again",
        |session| session.lists.permanently = true,
    ),
    Opt::flag(
        "B",
        "reject with 451: who is listed may try again (default)",
        |session| session.lists.permanently = false,
    ),
    Opt::flag(
        "c",
        "a list that cannot be asked counts against the client",
        |session| session.lists.fails_closed = true,
    ),
    Opt::flag(
        "C",
        "a list that cannot be asked does not count (default)",
        |session| session.lists.fails_closed = false,
    ),
    Opt::flag(
        "i",
        "do not reject, only tell the server, in $RBLSMTPD",
        |session| session.informs = true,
    ),
    Opt::value(
        "t",
        "timeout",
        "talk with a rejected client for this many seconds (default 60)",
        |session, value| {
            session.limit = value.seconds()?;
            Ok(())
        },
    ),
    Opt::value(
        "r",
        "base",
        "reject who has a TXT record in this list; with base:text, who has an A record",
        |session, value| {
            let list = value.parse("a list, or list:text", BlockList::parse)?;
            session.lists.block(&list);
            Ok(())
        },
    ),
    Opt::value(
        "a",
        "base",
        "accept who has an A record in this list",
        |session, value| {
            session.lists.allow(&value.bytes());
            Ok(())
        },
    ),
    Opt::value(
        "w",
        "delay",
        "wait this many seconds before the greeting, if nothing is decided yet",
        |session, value| {
            session.delay = value.number(0..=u32::MAX)?;
            session.wait();
            Ok(())
        },
    ),
    Opt::flag("W", "wait as long as $GREETDELAY says", Session::wait),
];

ucspi_tcp::program!(main);

pub(crate) fn main() -> u8 {
    cli::main(&COMMAND_LINE, run)
}

fn run(arguments: &mut Arguments, voice: &mut Voice) -> Result<(), Error> {
    let client = Client::from_environment();
    let lists = Lists::new(&client.address, process::variable("RBLSMTPD"), *voice)?;
    let was_open = lists.is_open();
    let mut session = Session {
        client,
        lists,
        informs: false,
        limit: Duration::from_secs(60),
        delay: 0,
        voice: *voice,
    };
    arguments.options(&mut [&mut group(&[OPTIONS], &mut session)])?;
    let Session {
        client,
        lists,
        informs,
        limit,
        ..
    } = session;
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
}

impl Session {
    /// Waits as long as it was told, unless all is decided.
    fn wait(&mut self) {
        let told = || process::variable("GREETDELAY").and_then(|text| number(&text));
        let delay = if self.delay == 0 {
            told().unwrap_or(0)
        } else {
            self.delay
        };
        if delay > 0 && self.lists.is_open() {
            let text = format!("greetdelay: {delay}");
            self.client.log(text.as_bytes(), &self.voice);
            std::thread::sleep(Duration::from_secs(delay.into()));
        }
    }
}
