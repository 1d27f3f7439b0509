//! A rules file as long as a large site's, compiled and asked by ours and by the original's programs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::support::launch::Launch;
use crate::support::programs::Programs;
use crate::world::{self, World, lossy};

const RULES: usize = 100_000;
/// Each looks the whole file over, which takes a debug build 85 ms.
const LOOKUPS: usize = 200;
/// How many look-ups one shell does.
const BATCH: usize = 50;

/// A generator of numbers that are the same in every run: splitmix64.
struct Dice(u64);

impl Dice {
    /// A number from 0 to `sides` - 1.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.roll(from.len() as u64)).expect("a small number")]
    }

    /// An address out of few networks, so that rules of different lengths meet.
    fn address(&mut self) -> String {
        let first = self.pick(&["10", "62", "127", "172", "192", "203"]);
        format!(
            "{first}.{}.{}.{}",
            self.roll(40),
            self.roll(256),
            self.roll(256)
        )
    }

    fn host(&mut self) -> String {
        let name = self.pick(&["mail", "relay", "dyn", "gw", "www"]);
        let domain = self.pick(&["example.org", "example.net", "isp.example", "a.b.c.example"]);
        format!("{name}{}.{domain}", self.roll(500))
    }

    fn user(&mut self) -> &'static str {
        self.pick(&["joe", "root", "www-data", "mail"])
    }
}

/// The rules as text, one in six lines a comment or empty.
fn rules() -> String {
    let mut dice = Dice(1);
    let mut text = String::from("# rules of a large site\n");
    let mut rules = 0;
    while rules < RULES {
        let line = dice.roll(120);
        match line {
            0..10 => text.push('\n'),
            10..20 => writeln!(text, "# ticket {}: see the abuse mailbox", dice.roll(9999))
                .expect("a String takes all text"),
            _ => {
                let address = address(&mut dice, line);
                let instructions = instructions(&mut dice);
                writeln!(text, "{address}:{instructions}").expect("a String takes all text");
                rules += 1;
            }
        }
    }
    text + "127.:allow,RELAYCLIENT=\"\"\n:allow\n"
}

fn address(dice: &mut Dice, kind: u64) -> String {
    let exact = dice.address();
    let prefix = |parts: usize| {
        let mut prefix = exact.split('.').take(parts).collect::<Vec<_>>().join(".");
        prefix.push('.');
        prefix
    };
    match kind {
        20..70 => exact,
        70..85 => prefix(3),
        85..88 => prefix(2),
        88..94 => {
            let low = dice.roll(250);
            format!("{}{low}-{}", prefix(3), low + dice.roll(12))
        }
        94..96 => format!("{}{}-{}.", prefix(2), dice.roll(100), 100 + dice.roll(8)),
        96..106 => format!("={}", dice.host()),
        106..110 => format!("=.{}", dice.host().split_once('.').expect("a domain").1),
        110..114 => format!("{}@{exact}", dice.user()),
        114..118 => format!("{}@={}", dice.user(), dice.host()),
        // Never found, but stored.
        118 => format!("{exact}."),
        _ => prefix(3) + " ",
    }
}

fn instructions(dice: &mut Dice) -> String {
    match dice.roll(10) {
        0..3 => "deny".to_owned(),
        3..6 => "allow".to_owned(),
        6 => "allow,RELAYCLIENT=\"\"".to_owned(),
        7 => format!("allow,RBLSMTPD='-blocked, see ticket {}'", dice.roll(9999)),
        8 => format!(
            "allow,MAXLOAD=/{}/,QMAILQUEUE=\"bin/scan -{}\"",
            dice.roll(900),
            dice.roll(9)
        ),
        _ => "deny,REASON=|policy|  ".to_owned(),
    }
}

/// Commands that ask about peers: half of them known by an exact rule, and by the user in it, a few by none but the last,
/// most with a name, some with an answer of ident.
fn lookups(rules: &str) -> Vec<String> {
    let mut dice = Dice(2);
    let addresses = rules.lines().filter_map(|line| line.split_once(':'));
    let exact = addresses.map(|(address, _)| address.rsplit_once('@').unwrap_or(("", address)));
    let (with_user, without): (Vec<_>, Vec<_>) = exact
        .filter(|(_, address)| address.parse::<std::net::Ipv4Addr>().is_ok())
        .partition(|(user, _)| !user.is_empty());
    let lookup = |_| {
        let (user, ip) = match dice.roll(16) {
            0 => ("", format!("8.8.8.{}", dice.roll(256))),
            1..8 => ("", dice.pick(&without).1.to_owned()),
            8 => {
                let (user, ip) = dice.pick(&with_user);
                (user, ip.to_owned())
            }
            _ => ("", dice.address()),
        };
        let mut command = format!("TCPREMOTEIP={ip} ");
        if dice.roll(3) > 0 {
            write!(command, "TCPREMOTEHOST={} ", dice.host()).expect("a String takes all text");
        }
        if !user.is_empty() || dice.roll(3) == 0 {
            let user = if user.is_empty() { dice.user() } else { user };
            write!(command, "TCPREMOTEINFO={user} ").expect("a String takes all text");
        }
        command + "\"$check\" rules.cdb\n"
    };
    (0..LOOKUPS).map(lookup).collect()
}

/// Compiles `rules.txt` with `tcprules` of `programs` into a new folder, and gives the database.
fn compile(world: &World, programs: &Programs, folder: &str) -> Vec<u8> {
    fs::create_dir(world.path(folder)).expect("the test's directory is writable");
    let (cdb, tmp) = (format!("{folder}/rules.cdb"), format!("{folder}/rules.tmp"));
    let input = fs::File::open(world.path("rules.txt")).expect("it was just written");
    let launch = Launch::new(programs.path("tcprules"), "tcprules", [&cdb, &tmp]);
    world.succeed(launch.stdin(crate::support::launch::Input::File(input)));
    fs::read(world.path(&cdb)).expect("tcprules made it")
}

/// Starts a shell that runs `commands` with `tcprulescheck` of `programs` in `folder`.
fn ask(
    world: &World,
    programs: &Programs,
    folder: &Path,
    commands: &str,
) -> crate::support::process::Process {
    let launch = world
        .program("sh", ["-s"])
        .env(
            "check",
            programs.path("tcprulescheck").to_string_lossy().as_bytes(),
        )
        .input(commands);
    launch
        .spawn(folder)
        .expect("a shell can be started in the test's directory")
}

#[test]
fn hundred_thousand_rules_mean_the_same_to_us_and_to_the_original() {
    let ours = Programs::subject();
    let original = match Programs::oracle("ucspi-tcp") {
        Ok(Some(original)) => original,
        Ok(None) => return world::skip("UCSPI_ORACLE_DIR is not set"),
        Err(error) => panic!("{error}"),
    };
    let Some(world) = world::with(&["sh"]) else {
        return;
    };
    let rules = rules();
    world.write("rules.txt", &rules);
    let database = compile(&world, &ours, "ours");
    assert!(database.len() > 10_000_000, "{} bytes", database.len());
    assert!(
        database == compile(&world, &original, "original"),
        "the databases differ"
    );
    let lookups = lookups(&rules);
    let mut answers = String::new();
    for batch in lookups.chunks(BATCH) {
        let commands = batch.concat();
        let our_shell = ask(&world, &ours, &world.path("ours"), &commands);
        let other_shell = ask(&world, &original, &world.path("original"), &commands);
        let answer = world::success(our_shell.outcome(), "our tcprulescheck");
        assert_eq!(
            lossy(&answer),
            lossy(&world::success(
                other_shell.outcome(),
                "the original's tcprulescheck"
            ))
        );
        answers += &lossy(&answer);
    }
    let answered = |start: &str| world::count(&answers, start);
    assert_eq!(answered("rule "), LOOKUPS, "every address has a rule");
    assert_eq!(
        answered("allow connection") + answered("deny connection"),
        LOOKUPS
    );
    // The mix is worth something only if all kinds of rules were found.
    for (what, least) in [
        ("deny connection", 20),
        ("set environment variable RBLSMTPD", 2),
        ("rule joe@", 1),
        ("rule =", 2),
        ("rule :", 1),
    ] {
        assert!(answered(what) >= least, "{what}: only {}", answered(what));
    }
}
