//! From the host operand to the names that are looked up: `$DNSREWRITEFILE`, `/etc/dnsrewrite`, `$LOCALDOMAIN`,
//! `/etc/resolv.conf`, the host's own name.

use super::{asking, but_ipv6, show_questions};
use crate::names::nameserver::{Act, NameServer};
use crate::names::packet::SERVFAIL;
use crate::names::zone::Zone;
use crate::names::{NAME_SERVER, THERE, world};
use crate::support::book::Book;
use crate::support::scene::Scene;

/// Where the rules are, what they are, the operand.
enum From {
    RewriteFile,
    EtcDnsrewrite,
    LocalDomain,
    ResolvConf,
    HostName,
}

pub(crate) fn fill(book: &mut Book) {
    use From::{EtcDnsrewrite, HostName, LocalDomain, ResolvConf, RewriteFile};
    let two = "foo.test search.test";
    let conf = "nameserver 127.0.0.53\nsearch foo.test search.test\n";
    for (name, from, text, host) in [
        ("domains_are_tried_in_turn", LocalDomain, two, "host"),
        (
            "name_with_a_dot_at_the_end_is_complete",
            LocalDomain,
            two,
            "host.",
        ),
        (
            "name_with_a_dot_is_complete",
            LocalDomain,
            two,
            "host.search",
        ),
        ("no_domain_is_no_search", LocalDomain, "", "host"),
        ("one_domain_is_appended", LocalDomain, "search.test", "host"),
        ("name_in_brackets_is_complete", LocalDomain, two, "[host]"),
        (
            "plus_in_the_operand_tries_each",
            LocalDomain,
            "",
            "host+.foo.test+.search.test",
        ),
        ("search_line_is_used", ResolvConf, conf, "host"),
        (
            "domain_line_is_used",
            ResolvConf,
            "domain search.test\nnameserver 127.0.0.53\n",
            "host",
        ),
        (
            "first_of_search_and_domain_counts",
            ResolvConf,
            "domain foo.test\nsearch search.test\nnameserver 127.0.0.53\n",
            "host",
        ),
        (
            "tab_after_search_counts",
            ResolvConf,
            "search\tfoo.test\tsearch.test\nnameserver 127.0.0.53\n",
            "host",
        ),
        (
            "empty_search_line_counts",
            ResolvConf,
            "search \nsearch search.test\nnameserver 127.0.0.53\n",
            "host",
        ),
        (
            "domain_of_the_host_is_appended",
            HostName,
            "me.search.test",
            "host",
        ),
        ("host_without_domain_is_no_search", HostName, "me", "host"),
        (
            "rewrite_file_equal",
            RewriteFile,
            "=host:host.search.test\n",
            "HOST",
        ),
        (
            "rewrite_file_suffix",
            RewriteFile,
            "*.search:.search.test\n",
            "host.search",
        ),
        (
            "rewrite_file_without_a_dot",
            RewriteFile,
            "?:.search.test\n",
            "host",
        ),
        (
            "rewrite_file_without_a_dot_leaves_others",
            RewriteFile,
            "?:.search.test\n",
            "host.foo",
        ),
        (
            "rewrite_file_whole",
            RewriteFile,
            "-.gone:host.search.test\n",
            "a.b.gone",
        ),
        (
            "rewrite_file_in_order",
            RewriteFile,
            "# first\n=host:a\n=a:b.\nb.:c\n*.:.search.test \t\r\n",
            "host",
        ),
        (
            "rewrite_file_without_final_line_feed",
            RewriteFile,
            "=host:host.search.test",
            "host",
        ),
        (
            "rewrite_file_with_several_domains",
            RewriteFile,
            "?:+.foo.test+.search.test\n*.:\n",
            "host",
        ),
        (
            "rewrite_file_may_turn_a_name_into_an_address",
            RewriteFile,
            "=host:127.0.0.2\n",
            "host",
        ),
        (
            "rewrite_file_may_turn_an_address_into_a_name",
            RewriteFile,
            "=1.2.3.4:host.search.test\n",
            "1.2.3.4",
        ),
        ("rewrite_file_alone_counts", RewriteFile, "", "host."),
        (
            "rewrite_file_that_is_missing_is_none",
            RewriteFile,
            "-",
            "host.search.test.",
        ),
        (
            "etc_dnsrewrite_is_used",
            EtcDnsrewrite,
            "=host:host.search.test\n",
            "host",
        ),
    ] {
        book.add(name, move |s| qualify(s, &from, text, host));
    }
    book.add("blanks_between_domains_may_be_several", |s| {
        qualify(s, &LocalDomain, "foo.test  search.test ", "host");
    })
    .differs("blanks-in-localdomain");
    book.add("search_line_may_end_in_a_carriage_return", |s| {
        let conf = "nameserver 127.0.0.53\r\nsearch foo.test search.test\r\n";
        qualify(s, &ResolvConf, conf, "host");
    })
    .differs("carriage-returns-in-resolv-conf");
    book.add("failure_of_one_domain_ends_the_search", |s| {
        let server = NameServer::scripted(NAME_SERVER, |question, _| {
            vec![Act::Say(question.reply().code(SERVFAIL).bytes())]
        });
        s.run(
            asking(s.program(["-HRl0", "host", "80", "true"]))
                .env("LOCALDOMAIN", "foo.test search.test"),
        );
        show_questions(s, &[&server]);
    });
    for (name, host) in [
        ("rewrite_file_that_is_a_folder_is_reported", "there.test"),
        (
            "rewrite_file_that_is_a_folder_is_reported_for_an_address_too",
            "127.0.0.2",
        ),
    ] {
        book.add(name, move |s| {
            s.directory("folder");
            s.run(asking(s.program(["-HRl0", host, "80", "true"])).env("DNSREWRITEFILE", "folder"));
        });
    }
}

fn qualify(s: &mut Scene, from: &From, text: &str, host: &str) {
    let zone = Zone::default().a("host.search.test", &[THERE]);
    let server = NameServer::scripted(NAME_SERVER, move |question, _| {
        vec![Act::Say(zone.answer(question).bytes())]
    });
    match from {
        From::RewriteFile if text != "-" => s.write("rewrite", text),
        From::RewriteFile | From::LocalDomain => {}
        From::EtcDnsrewrite => world::etc("dnsrewrite", text),
        From::ResolvConf => world::etc("resolv.conf", text),
        From::HostName => world::host_name(text),
    }
    // Where the resolver's configuration says whom to ask, the variable must not.
    let launch = s.program(["-HRl0", host, "80", "true"]);
    s.run(match from {
        From::RewriteFile => asking(launch).env("DNSREWRITEFILE", "rewrite"),
        From::LocalDomain => asking(launch).env("LOCALDOMAIN", text),
        From::EtcDnsrewrite | From::HostName => asking(launch),
        From::ResolvConf => launch,
    });
    // In the order in which they were asked: one after the other on both sides.
    s.note_lines("asked", &but_ipv6(server.asked()));
}
