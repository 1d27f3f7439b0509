//! time@: what the clocks of other machines say, all asked at the same time.
//!
//! Source: RFC 868; the columns are those of the time client in perlipc(1).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::cli::{During, Error, FAILED, Opt, Voice};
use crate::dns::Resolver;
use crate::sys::runtime::Runtime;
use crate::sys::{clock, fd};
use crate::ucspi::connect::connect;
use crate::ucspi::host::Reading;

/// What the command line of time@ asks for.
#[derive(Debug)]
pub struct Config {
    /// Whom to ask, in the order in which to answer.
    pub hosts: Vec<Vec<u8>>,
    /// How long each host has.
    pub timeout: Duration,
    /// Exit with 1 when a clock differs from ours by more seconds.
    pub max_difference: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            timeout: Duration::from_secs(10),
            max_difference: None,
        }
    }
}

impl Config {
    /// The options for it.
    pub const OPTIONS: &'static [Opt<Self>] = &[
        Opt::value(
            "m",
            "seconds",
            "exit with 1 when a clock differs by more",
            |config, value| {
                config.max_difference = Some(value.number(0..=u32::MAX)?);
                Ok(())
            },
        ),
        Opt::value(
            "t",
            "timeout",
            "give each host this many seconds (default 10)",
            |config, value| {
                config.timeout = value.seconds()?;
                Ok(())
            },
        ),
    ];
}

/// RFC 868.
const PORT: u16 = 37;
/// From 1900, where the protocol starts, to 1970, in seconds: 25567 days. RFC 868.
const EPOCH: i64 = 2_208_988_800;
/// Exit code when a clock differs by too much.
const DIFFERS: u8 = 1;

/// Prints a line for this machine, and one for each host: its name, its clock's difference in seconds, its local time.
///
/// # Errors
/// 111 when a host did not answer, said in one line each; else 1 when a clock differs by more than allowed.
pub fn run(config: Config, voice: Voice) -> Result<(), Error> {
    let runtime = Runtime::new().during("start")?;
    runtime.wait(ask_all(config, voice))
}

async fn ask_all(config: Config, voice: Voice) -> Result<(), Error> {
    let resolver = Resolver::new(config.timeout);
    let limit = config.timeout;
    let ask = |host: Vec<u8>| {
        let resolver = resolver.clone();
        tokio::task::spawn_local(async move {
            let answer = timeout(limit, ask(&host, &resolver, limit)).await;
            let answer = answer.unwrap_or_else(|_| Err(Error::fatal("timed out")));
            (host, answer)
        })
    };
    let questions: Vec<_> = config.hosts.into_iter().map(ask).collect();
    print(b"localhost", 0)?;
    let mut outcome = Ok(());
    for question in questions {
        let Ok((host, answer)) = question.await else {
            continue;
        };
        match answer {
            Ok(difference) => {
                print(&host, difference)?;
                let max = config.max_difference.map_or(i64::MAX, i64::from);
                if difference.abs() > max && outcome.is_ok() {
                    outcome = Err(Error::silent(DIFFERS));
                }
            }
            Err(error) => {
                voice.warn(&[b"warning: no time from ", &host, b": ", error.text()]);
                outcome = Err(Error::silent(FAILED));
            }
        }
    }
    outcome
}

/// `name`, padded to 24 bytes, the difference, right-aligned in 8, and the local time there.
fn print(name: &[u8], difference: i64) -> Result<(), Error> {
    let padding = " ".repeat(24_usize.saturating_sub(name.len()));
    let time = clock::local(clock::now() + difference);
    let rest = format!("{padding} {difference:8} {time}\n");
    let line = [name, rest.as_bytes()].concat();
    fd::write_all(fd::STDOUT, &line).map_err(|_| Error::silent(FAILED))
}

/// By how many seconds the clock of `host` is ahead of ours.
async fn ask(host: &[u8], resolver: &Resolver, limit: Duration) -> Result<i64, Error> {
    let operand = if matches!(host, b"" | b"0") {
        b"127.0.0.1"
    } else {
        host
    };
    let addresses = Reading::default()
        .addresses(operand, host, resolver)
        .await?;
    let mut failure = Error::fatal("no address");
    for mut server in addresses {
        server.set_port(PORT);
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let connected = connect(server, any, limit)
            .await
            .and_then(|connection| connection);
        match connected.during(format!("connect to {} port {PORT}", server.ip())) {
            Ok(mut connection) => {
                let value = match connection.read_u32().await {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        return Err(Error::fatal("the connection ends before four bytes"));
                    }
                    value => value.during("read four bytes")?,
                };
                return Ok(difference(value, clock::now()));
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// By how many seconds the clock that says `value` is ahead of `now`. The counter of the protocol wraps in 2036: of all
/// times that `value` may stand for, the nearest is meant.
fn difference(value: u32, now: i64) -> i64 {
    let ours = (now + EPOCH).rem_euclid(1 << 32);
    let ahead = (i64::from(value) - ours).rem_euclid(1 << 32);
    if ahead < 1 << 31 {
        ahead
    } else {
        ahead - (1 << 32)
    }
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn known_values_give_known_differences() {
        // 2000-01-01 00:00:00 UTC
        assert_eq!(difference(0xbc17_c200, 946_684_800), 0);
        assert_eq!(difference(0xbc17_c200 + 5, 946_684_800), 5);
        assert_eq!(difference(0xbc17_c200 - 5, 946_684_800), -5);
        assert_eq!(difference(0xeeab_3f08, 1_795_211_400), 0);
    }

    #[test]
    fn counter_may_have_wrapped_on_either_side() {
        // 2036-02-07 06:28:16 UTC
        let wrap = 2_085_978_496;
        assert_eq!(difference(0, wrap), 0);
        assert_eq!(difference(u32::MAX, wrap), -1);
        assert_eq!(difference(0, wrap - 1), 1);
        assert_eq!(difference(7, wrap + 1_000_000), -999_993);
    }
}
