//! A server that is treated badly for long, by dice that always fall the same for one seed.
//!
//! In `cargo test` that is a number of turns; `ci/soak` makes it minutes (`$UCSPI_SOAK_MINUTES`).

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::crowd::{Crowd, number, reset, state, tell};
use crate::service::{FOE, FRIEND};
use crate::support::net;
use crate::support::process::resident;
use crate::world::{self, World, children, eventually};

const LIMIT: usize = 40;
const TURNS: usize = 400;
/// Turns before the memory is measured that the end is compared with: caches and tables have their size then.
const WARM_UP: usize = 200;
/// More memory at the end than after the warm-up is a leak, in KiB.
const GROWTH_MAX: u64 = 1024;
const RULES: &str = "127.0.0.1:allow,WHO=\"friend\"\n127.0.0.0/29:deny\n:deny\n";

/// xorshift64*, Vigna 2014.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let roll = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(roll).unwrap_or(0) % sides
    }
}

#[derive(Debug, Default)]
struct Deeds {
    served: usize,
    denied: usize,
    resets: usize,
    held: usize,
    kills: usize,
    stops: usize,
    server_stops: usize,
    rules_replaced: usize,
}

struct Soak<'a> {
    world: &'a World,
    crowd: Crowd,
    dice: Dice,
    held: Vec<TcpStream>,
    deeds: Deeds,
}

impl Soak<'_> {
    fn turn(&mut self) {
        match self.dice.below(16) {
            0..=4 => self.visit(),
            5 | 6 => self.be_refused(),
            7 | 8 => self.reset(),
            9 | 10 => self.hold(),
            11 | 12 => self.let_go(),
            13 => self.harm_a_program(),
            14 => self.stop_the_server(),
            _ => self.replace_the_rules(),
        }
        // Some slots stay free, so that nobody waits for somebody whom only we can end.
        while self.held.len() > LIMIT / 2 {
            self.let_go();
        }
    }

    fn visit(&mut self) {
        let mut stream = self.crowd.connect(FRIEND);
        let _ = stream.write_all(b"line\n");
        net::half_close(&stream);
        assert_eq!(net::receive_all(&mut stream), b"line\n");
        self.deeds.served += 1;
    }

    fn be_refused(&mut self) {
        let mut stream = self.crowd.connect(FOE);
        assert_eq!(net::receive_all(&mut stream), b"", "the foe was admitted");
        self.deeds.denied += 1;
    }

    fn reset(&mut self) {
        let mut stream = self.crowd.connect(FRIEND);
        if self.dice.below(2) == 0 {
            let _ = stream.write_all(b"never answered\n");
        }
        reset(stream);
        self.deeds.resets += 1;
    }

    fn hold(&mut self) {
        self.held.push(self.crowd.connect(FRIEND));
        self.deeds.held += 1;
    }

    /// One that is held goes, one way or the other.
    fn let_go(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let which = self.dice.below(self.held.len());
        let stream = self.held.swap_remove(which);
        if self.dice.below(2) == 0 {
            reset(stream);
            self.deeds.resets += 1;
        }
    }

    /// A program is killed, or stopped until the next time.
    fn harm_a_program(&mut self) {
        let all = children(self.crowd.pid());
        for &child in all.iter().filter(|&&child| state(child) == 'T') {
            let _ = kill(Pid::from_raw(child), Signal::SIGCONT);
        }
        if all.is_empty() {
            return;
        }
        let victim = Pid::from_raw(all[self.dice.below(all.len())]);
        let signals = [
            Signal::SIGKILL,
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGSTOP,
        ];
        let mut signal = signals[self.dice.below(signals.len())];
        if signal == Signal::SIGSTOP && !is_a_program(victim) {
            // Stopped before its exec, it would stop the server too: a limit that docs/security.md names.
            signal = Signal::SIGKILL;
        }
        // It may have ended by itself; its number stays its own until the server, which is its parent, has reaped it,
        // and in a moment nobody else gets it: the kernel gives numbers in turn.
        let _ = kill(victim, signal);
        if signal == Signal::SIGSTOP {
            self.deeds.stops += 1;
        } else {
            self.deeds.kills += 1;
        }
    }

    fn stop_the_server(&mut self) {
        let server = Pid::from_raw(i32::try_from(self.crowd.pid()).expect("a pid"));
        kill(server, Signal::SIGSTOP).expect("the server runs");
        eventually("the server is stopped", || state(server.as_raw()) == 'T');
        let waiting: Vec<TcpStream> = (0..self.dice.below(8))
            .map(|_| self.crowd.connect(FRIEND))
            .collect();
        kill(server, Signal::SIGCONT).expect("the server runs");
        for stream in waiting {
            reset(stream);
            self.deeds.resets += 1;
        }
        self.deeds.server_stops += 1;
    }

    fn replace_the_rules(&mut self) {
        self.world.rules(RULES);
        self.deeds.rules_replaced += 1;
    }

    /// Everybody goes, nobody stays stopped; the server is then at rest.
    fn end_all(&mut self) {
        self.held.clear();
        eventually("all programs have ended", || {
            let all = children(self.crowd.pid());
            for &child in &all {
                let _ = kill(Pid::from_raw(child), Signal::SIGCONT);
            }
            all.is_empty()
        });
        self.crowd.rest();
    }
}

/// True when a child has become its program. proc(5), /proc/pid/comm.
fn is_a_program(child: Pid) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
    name.trim_end() != "tcpserver"
}

#[test]
fn server_that_is_treated_badly_for_long_is_as_at_the_start() {
    if let Some(world) = world::with(&["sh", "cat"]) {
        soak(&world, &[]).terminate();
    }
}

#[test]
fn server_that_counts_everything_counts_nothing_at_the_end() {
    let Some(world) = world::with(&["sh", "cat", "jq"]) else {
        return;
    };
    let control = world.name("ctl");
    let options = [
        &format!("--control={control}"),
        "--log=reason",
        "--source-limit=100000",
        "--source-rate=1000000/1",
        "--rate=1000000/1",
        "--rule-limits",
        "--refusal=",
        "--penalty=signal:1,1-255:1",
        "--penalty-threshold=100000",
        "--max-time=100000",
    ];
    let crowd = soak(&world, &options);
    let overview = world.run("tcpctl", [&control, "overview"]).stdout;
    let counts = "[.status.open, (.connections | length), ([.top[].open] | add), .counters.accepted - .counters.ended - \
        (.counters.refused | add) - .counters.dropped]";
    let counts = world.succeed(world.program("jq", ["-c", counts]).input(overview));
    assert_eq!(world::lossy(&counts), "[0,0,0,0]\n");
    crowd.terminate();
}

/// Treats a server badly that has these options too.
fn soak(world: &World, more: &[&str]) -> Crowd {
    let seed = number("UCSPI_SOAK_SEED").unwrap_or(20_261_121);
    let until = number("UCSPI_SOAK_MINUTES")
        .map(|minutes| Instant::now() + Duration::from_secs(60 * minutes as u64));
    let rules = world.rules(RULES);
    let options = [&["-HRl0", "-b100", "-x", &rules], more].concat();
    // Where a connection is reset, cat says so; that is not in the log's language.
    let program = ["sh", "-c", "exec cat 2>/dev/null"];
    let mut soak = Soak {
        world,
        crowd: Crowd::start(world, LIMIT, &options, &program, |launch| launch),
        dice: Dice(seed as u64 | 1),
        held: Vec::new(),
        deeds: Deeds::default(),
    };
    for _ in 0..WARM_UP {
        soak.turn();
    }
    soak.end_all();
    soak.crowd.assert_at_rest_after(0);
    let at_first = resident(soak.crowd.pid());
    let mut turns = 0;
    while until.map_or(turns < TURNS, |until| Instant::now() < until) {
        soak.turn();
        turns += 1;
    }
    soak.end_all();
    let tally = soak.crowd.assert_at_rest_after(0);
    let at_last = resident(soak.crowd.pid());
    tell(&format!(
        "soak: {turns} turns, seed {seed}: {:?}; {} connections began and {} ended, {} warnings; {at_first} KiB at first, \
         {at_last} at last; the log ends with {:?}",
        soak.deeds, tally.from, tally.end, tally.warnings, tally.last
    ));
    assert_eq!(tally.warnings, 0);
    assert!(
        at_last.saturating_sub(at_first) < GROWTH_MAX,
        "{at_first} KiB, then {at_last}"
    );
    // It serves as ever.
    let mut stream = net::connect_from(FRIEND, Ipv4Addr::LOCALHOST, soak.crowd.server.port, |_| {
        false
    })
    .expect("the server listens");
    net::half_close(&stream);
    assert_eq!(net::receive_all(&mut stream), b"");
    soak.crowd.assert_at_rest_after(tally.end + 1);
    soak.crowd
}
