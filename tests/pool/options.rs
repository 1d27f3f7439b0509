//! What the command line takes.

use crate::house::world;
use crate::world::lossy;

#[test]
fn wrong_option_is_named_with_what_it_needs() {
    let Some(world) = world() else { return };
    for (option, needs) in [
        (
            "--workers=0",
            "a number, or two with a colon: the most is not less than the least",
        ),
        (
            "--workers=4:3",
            "a number, or two with a colon: the most is not less than the least",
        ),
        (
            "--query=idle:5",
            "line, crlf, lines:N, blank, dot, nul, netstring, len4 or eof, N being from 1 to 65535",
        ),
        ("--busy-timeout=soon", "a number of seconds"),
        (
            "--queue=5:",
            "a number, perhaps with a colon and a number of seconds behind it",
        ),
        (
            "--max-query=1K",
            "a number of bytes, perhaps with k, M or G behind it",
        ),
        ("--channels=0", "a number from 1 to 10000"),
    ] {
        let outcome = world.run("tcppool", [option, "127.0.0.1", "0", "true"]);
        let (name, value) = option.split_once('=').expect("an option with a value");
        let line = format!("tcppool: option {name} needs {needs}, not \"{value}\"\n");
        let log = lossy(&outcome.stderr);
        assert!(log.starts_with(&line), "{log}");
        assert_eq!(outcome.status.code(), Some(100));
    }
}

#[test]
fn options_that_do_not_fit_together_are_refused() {
    let Some(world) = world() else { return };
    for (options, line) in [
        (
            &["--channels=2", "--reply=eof"][..],
            "option --channels needs frames that end by themselves, not idle or eof",
        ),
        (
            &["--channels=2", "--max-reply=0"],
            "option --channels needs limits: --max-query and --max-reply cannot be 0",
        ),
        (
            &["--error=two\nlines"],
            "option --error needs a text without the end of a reply in it",
        ),
    ] {
        let args = options.iter().copied().chain(["127.0.0.1", "0", "true"]);
        let outcome = world.run("tcppool", args);
        let log = lossy(&outcome.stderr);
        assert!(log.starts_with(&format!("tcppool: {line}\n")), "{log}");
        assert_eq!(outcome.status.code(), Some(100));
    }
}

#[test]
fn missing_operands_are_a_usage_error() {
    let Some(world) = world() else { return };
    for args in [&[][..], &["127.0.0.1"], &["127.0.0.1", "0"]] {
        let outcome = world.run("tcppool", args);
        assert_eq!(outcome.status.code(), Some(100));
        assert!(lossy(&outcome.stderr).contains("tcppool: usage: tcppool "));
    }
}
