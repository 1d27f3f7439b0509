//! What is refused, and how that is said.

use super::{both, of};

#[test]
fn mistakes_are_told_with_their_place() {
    for (master, relay, told) in [
        (
            "\nbackground = maybe",
            "",
            "f:2: Expected 'deny', 'false', 'no', 'permit', 'true' or 'yes', but got 'maybe'",
        ),
        ("background yes", "", "f:1: Expected '=', but got 'yes'"),
        (
            "overload = wait",
            "",
            "f:1: Expected 'close', 'queue' or 'reset', but got 'wait'",
        ),
        (
            "permit 10.0.0.0/33",
            "",
            "f:1: Expected an IP address or network in CIDR notation, but got '10.0.0.0/33'",
        ),
        (
            "permit everybody",
            "",
            "f:1: Expected an IP address or network in CIDR notation, but got 'everybody'",
        ),
        (
            "listen = { protocol = UDP }",
            "",
            "f:1: Expected 'SCTP' or 'TCP', as datagrams are not relayed, but got 'UDP'",
        ),
        (
            "",
            "remote = { protocol = UDP }",
            "f:2: Expected 'SCTP' or 'TCP', as datagrams are not relayed, but got 'UDP'",
        ),
        (
            "listen = { protocol = DCCP }",
            "",
            "f:1: Expected 'SCTP' or 'TCP', but got 'DCCP'",
        ),
        (
            "listen = { type = DGRAM }",
            "",
            "f:1: Expected 'STREAM', as only streams are relayed, but got 'DGRAM'",
        ),
        (
            "listen = { mode = 999 }",
            "",
            "f:1: Expected a file mode in octal, but got '999'",
        ),
        (
            "listen = { dscp = ef }",
            "",
            "f:1: Expected a DSCP value from 0 to 63, but got 'ef'",
        ),
        (
            "listen = { backlog = many }",
            "",
            "f:1: Expected an integer, but got 'many'",
        ),
        (
            "listen = { tcp keepalive never = 1 }",
            "",
            "f:1: Expected 'count', 'idle' or 'interval', but got 'never'",
        ),
        (
            "listen = { port = }",
            "",
            "f:1: Expected a value, but got '}'",
        ),
        (
            "spawn { users max = 0 }",
            "",
            "f:1: Expected an integer above 0, but got '0'",
        ),
        (
            "spawn { users = 5 }",
            "",
            "f:1: Expected 'max' or 'min', but got '='",
        ),
        (
            "sticky cache colour = 1",
            "",
            "f:1: Expected 'period' or 'size', but got 'colour'",
        ),
        (
            "syslog facility = nowhere",
            "",
            "f:1: Expected 'auth', 'authpriv', 'cron', 'daemon', 'ftp', 'kern', 'local0', 'local1', 'local2', 'local3', 'local4', 'local5', 'local6', 'local7', 'lpr', 'mail', 'news', 'security', 'syslog', 'user' or 'uucp', but got 'nowhere'",
        ),
        (
            "syslog severity = loud",
            "",
            "f:1: Expected 'alert', 'crit', 'debug', 'emerg', 'err', 'error', 'info', 'notice', 'panic', 'warn' or 'warning', but got 'loud'",
        ),
        (
            "debug = x",
            "",
            "f:1: Expected 'ACCT', 'ACL', 'ALL', 'AUTHEN', 'AUTHOR', 'BUFFER', 'CMD', 'CONFIG', 'CONTROL', 'DNS', 'HEX', 'LOCK', 'MAVIS', 'NET', 'NONE', 'PACKET', 'PARSE', 'PATH', 'PROC', 'REGEX' or 'USERINPUT', but got 'x'",
        ),
        ("debug ALL", "", "f:1: Expected '=', but got 'ALL'"),
        (
            "include = nosuch",
            "",
            "f:1: unable to read nosuch: file does not exist",
        ),
        ("include = }", "", "f:1: Expected a value, but got '}'"),
        (
            "",
            "remote = { port = 22 }",
            "f:2: Expected 'address', but got '}'",
        ),
        (
            "",
            "remote = { address = h }",
            "f:2: Expected 'port', but got '}'",
        ),
        (
            "",
            "remote = { address = h colour = red }",
            "f:2: Expected 'address', 'port', 'protocol', 'weight' or '}', but got 'colour'",
        ),
        (
            "",
            "local address = here",
            "f:2: Expected an IP address, but got 'here'",
        ),
        (
            "",
            "idle timeout = 4294967296",
            "f:2: Expected an integer, but got '4294967296'",
        ),
        (
            "",
            "idle timeout = 4G",
            "f:2: Expected an integer, but got '4G'",
        ),
        (
            "",
            "mavis module = x",
            "f:2: Expected 'coredump', 'debug', 'idle', 'local', 'proctitle', 'rebalance', 'remote', 'retire', 'syslog', 'tls', 'trace' or '}', but got 'mavis'",
        ),
    ] {
        assert_eq!(both(master, relay), Err(told.to_owned()));
    }
    for (text, told) in [
        ("", "f:1: No configuration for id 'spawnd' found."),
        (
            "id = spawnd {\n",
            "f:2: Expected '}', but got the end of the file",
        ),
        ("id = other {\n{ }", "f:2: EOF unexpected"),
        ("id = spawnd { pidfile = \"x", "f:1: EOF unexpected"),
        (
            "nonsense",
            "f:1: Expected 'alias', 'cleanup', 'coredump', 'debug', 'debug-cmd', 'gcore', 'id', 'include', 'proctitle', 'setenv', 'syslog' or 'trace', but got 'nonsense'",
        ),
        (
            "include = g*\n",
            "f:2: No configuration for id 'spawnd' found.",
        ),
        (
            "include = g\n",
            "f:1: unable to read g: file does not exist",
        ),
        ("alias a", "f:1: Expected '{', but got the end of the file"),
        ("alias { a = b }", "f:1: Expected a value, but got '{'"),
        ("cleanup = 5", "f:1: Expected 'interval', but got '='"),
        (
            "cleanup interval = x",
            "f:1: Expected an integer, but got 'x'",
        ),
        ("gcore /x", "f:1: Expected '=', but got '/x'"),
    ] {
        assert_eq!(of(text), Err(told.to_owned()), "{text}");
    }
}
