//! Rules that are asked about: `--check`, `--diff`, `--set`, `--replay` and `--source`.

use crate::support::book::{Book, Scenario};
use crate::support::scene::Scene;

const RULES: &str = "10.1:deny\n10.2.0.0/16:deny\n10.2.:allow,A=\"1\"\n=a.b:deny\n:deny\n";

/// All scenarios.
pub(super) fn all() -> Vec<Scenario> {
    let mut compile = Book::of("tcprules");
    checked(&mut compile);
    compared(&mut compile);
    sets(&mut compile);
    let mut check = Book::of("tcprulescheck");
    replayed(&mut check);
    placed(&mut check);
    let books = [compile, check].into_iter();
    books.flat_map(|book| book.scenarios).collect()
}

fn checked(book: &mut Book) {
    book.add("check_says_what_is_odd_and_exits_1", |s| {
        s.write("rules", RULES);
        s.run(s.program(["--check", "rules"]));
        s.run(s.program(["--check", "--json", "rules"]));
        s.run(s.program(["--check"]).input(RULES));
        s.run(s.program(["--check"]).input(":deny\n"));
        s.show_directory();
    });
    book.add("check_goes_on_after_an_error_and_exits_100", |s| {
        s.run(
            s.program(["--check"])
                .input("10.:alow\n10.1:deny\n300/8:deny\n:deny\n"),
        );
        let json = s.program(["--check", "--json"]);
        s.run(json.input("10.:alow\n:deny\n"));
    });
    book.add("check_without_a_file_to_read_fails", |s| {
        s.run(s.program(["--check", "nosuch"]));
        s.run(s.program(["--check", "one", "two"]));
        s.run(s.program(["--json", "rules.cdb", "rules.tmp"]));
        s.run(s.program(["--check", "--diff", "rules"]));
        s.run(s.program(["--check"]).input(":x\n").closed(1));
    });
}

fn compared(book: &mut Book) {
    book.add("diff_lists_prefixes_then_keys_and_exits_1", |s| {
        s.rules("rules.cdb", RULES);
        s.write("new", "10.2.3.4:deny\n10.2.:allow,A=\"1\"\n10.128.0.0/9:allow\n2001:db8::/32:allow\n=a.b:allow,B=|\"|\n");
        s.run(s.program(["--diff", "rules.cdb", "new"]));
        s.write("same", ":deny\n=a.b:deny\n10.2.0.0/16:allow,A='1'\n");
        s.run(s.program(["--diff", "rules.cdb", "same"]));
    });
    book.add("diff_needs_whole_rules_on_both_sides", |s| {
        s.rules("rules.cdb", RULES);
        s.write("wrong", "10.:alow\n");
        s.run(s.program(["--diff", "rules.cdb", "wrong"]));
        s.run(s.program(["--diff", "rules.cdb", "nosuch"]));
        s.run(s.program(["--diff", "nosuch.cdb", "wrong"]));
        s.run(s.program(["--diff", "wrong", "wrong"]));
        s.run(s.program(["--diff", "rules.cdb"]));
        s.run(s.program(["--diff", "rules.cdb", "wrong", "more"]));
    });
}

fn sets(book: &mut Book) {
    book.add("set_is_compiled_to_the_keys_of_its_lines", |s| {
        s.write(
            "bad",
            "10.0.0.0/8\n10.1.2.3 # one\n\n;\n10.1.2.0/23\n2001:db8::/32\n10.9.9.9/16\n",
        );
        let rules = "10.1.2.3:allow\n%bad:deny,A=\"1\"\n%other:deny\n:allow\n";
        s.run(
            s.program(["--set=bad=bad", "rules.cdb", "rules.tmp"])
                .input(rules),
        );
        s.show_file("rules.cdb");
    });
    book.add("set_that_is_wrong_or_idle_is_told", |s| {
        s.write("bad", "10.0.0.0/8\n  10.0.0.0/33\n");
        for rules in ["%bad:deny\n", ":deny\n"] {
            s.run(
                s.program(["--set=bad=bad", "rules.cdb", "rules.tmp"])
                    .input(rules),
            );
            s.run(s.program(["--set=bad=bad", "--check"]).input(rules));
        }
        s.run(
            s.program(["--set=bad=nosuch", "rules.cdb", "rules.tmp"])
                .input("%bad:deny\n"),
        );
        for option in ["--set", "--set=bad", "--set=a-b=bad", "--set==bad"] {
            s.run(s.program([option, "rules.cdb", "rules.tmp"]));
        }
        s.run(s.program(["--set=a=x", "--set=a=y", "rules.cdb", "rules.tmp"]));
    });
}

fn replayed(book: &mut Book) {
    book.add("replay_sums_up_who_would_be_decided_otherwise", |s| {
        s.rules("rules.cdb", RULES);
        let log = "tcpserver: status: 0/40\ntcpserver: ok 1 0:10.0.0.1:25 :10.2.3.4::9\n\
                   tcpserver: ok 2 0:10.0.0.1:25 :10.3.3.4::9\ntcpserver: ok 3 0:10.0.0.1:25 :10.3.3.5::9\n\
                   tcpserver: deny 4 0:10.0.0.1:25 :10.2.3.4::9\ntcpserver: ok 5 0:10.0.0.1:25 a?b:10.3.3.5::9\n";
        s.run(s.program(["--replay", "rules.cdb"]).input(log));
        s.run(s.program(["--replay", "rules.cdb"]).input("tcpserver: status: 0/40\n"));
        s.run(s.program(["--replay", "nosuch.cdb"]).input(log));
        s.write("wrong.cdb", "no database");
        s.run(s.program(["--replay", "wrong.cdb"]).input(log));
        s.run(s.program(["--replay", "rules.cdb", "10.2.3.4"]));
        s.run(s.program(["--replay", "--explain", "rules.cdb"]));
        s.run(s.program(["--replay"]));
    });
}

fn placed(book: &mut Book) {
    let explain = |s: &mut Scene, source: &str, address: &str| {
        let source = format!("--source={source}");
        s.run(s.program(["--explain", &source, "rules.cdb", address]));
    };
    book.add("explanation_says_in_which_line_the_rule_is", move |s| {
        s.rules(
            "rules.cdb",
            "10.2.3.4-9:deny\n10.2.3.:allow\n10.2.3.:deny\n",
        );
        s.write("rules", "10.2.3.4-9:deny\n10.2.3.:allow\n10.2.3.:deny\n");
        for address in ["10.2.3.5", "10.2.3.1", "10.3.3.3"] {
            explain(s, "rules", address);
        }
        s.write("newer", "10.2.3.:deny\n");
        explain(s, "newer", "10.2.3.5");
        explain(s, "newer", "10.2.3.1");
        explain(s, "nosuch", "10.2.3.1");
        s.write("wrong", "10.:alow\n");
        explain(s, "wrong", "10.2.3.1");
        s.run(s.program(["--source=rules", "rules.cdb"]));
    });
}
