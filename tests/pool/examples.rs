//! `examples/pool`, and the programs that it is made for.

use crate::pool::house::Pool;
use crate::pool::iotcpd::Iotcpd;
use crate::support::net;
use crate::world::{self, World, lossy};

/// The world with the example in it.
fn with(name: &str, needs: &[&str]) -> Option<World> {
    let world = world::with(needs)?;
    let file = format!("{}/examples/pool/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(file).expect("the example is there");
    world.script(name, &text);
    Some(world)
}

#[test]
fn rewriter_answers_as_squid_expects() {
    let Some(world) = with("rewriter", &["sh"]) else {
        return;
    };
    let pool = Pool::start_with(&world, &["--queries=0"], &["./rewriter"]);
    let mut client = pool.connect();
    for (url, answer) in [
        (
            "http://ads.example/x",
            "OK status=302 url=\"http://www.example/blocked\"\n",
        ),
        (
            "http://old.example/a/b",
            "OK rewrite-url=\"http://new.example/a/b\"\n",
        ),
        ("http://www.example/", "ERR\n"),
    ] {
        net::send(
            &mut client,
            format!("{url} 192.0.2.7/- - GET myip=- myport=3128\n").as_bytes(),
        );
        assert_eq!(lossy(&net::receive_line(&mut client)), answer);
    }
    drop(client);
    pool.terminate();
}

#[test]
fn policy_answers_as_postfix_expects() {
    let Some(world) = with("policy", &["sh"]) else {
        return;
    };
    let pool = Pool::start_with(&world, &["--query=blank", "--queries=0"], &["./policy"]);
    let mut client = pool.connect();
    for (sender, answer) in [
        ("a@spam.example", "action=REJECT not from there\n\n"),
        ("a@b.example", "action=DUNNO\n\n"),
    ] {
        let query =
            format!("request=smtpd_access_policy\nsender={sender}\nrecipient=c@d.example\n\n");
        net::send(&mut client, query.as_bytes());
        assert_eq!(
            lossy(&net::receive_exactly(&mut client, answer.len())),
            answer
        );
    }
    drop(client);
    pool.terminate();
}

#[test]
fn model_is_loaded_once_and_answers_when_it_is() {
    let Some(world) = with("model.py", &["python3"]) else {
        return;
    };
    let options = ["--workers=2", "--ready=ready", "--queue=9:20"];
    let pool = Pool::start_with(&world, &options, &["python3", "./model.py"]);
    for _ in 0..4 {
        assert_eq!(pool.ask("one two three four\n"), "6\n");
    }
    assert_eq!(pool.statistics()["daemon spawns"], 2.0);
    pool.terminate();
}

#[test]
fn calculator_calculates() {
    let Some(world) = with("calculator", &["bc"]) else {
        return;
    };
    let pool = Pool::start_with(&world, &["--queries=0"], &["./calculator"]);
    let mut client = pool.asking("6*7\n2^200\n");
    assert_eq!(lossy(&net::receive_line(&mut client)), "42\n");
    let long = lossy(&net::receive_line(&mut client));
    assert_eq!(
        long,
        "1606938044258990275541962092341162602522202993782792835301376\n"
    );
    drop(client);
    pool.terminate();
}

#[test]
fn squidguard_rewrites_urls_for_the_pool_and_for_iotcpd() {
    let Some(world) = world::with(&["squidGuard"]) else {
        return;
    };
    world.write("db/urls", "www.wowomg.com/foo.html\n");
    world.write("db/domains", "bar.baaz.foo\n");
    let folder = world.name(".");
    let config = format!(
        "dbhome {folder}/db\nlogdir {folder}\ndest adblock {{\n  domainlist domains\n  urllist urls\n}}\n\
         acl {{\n  default {{\n    pass !adblock all\n    redirect 302:http://foo.bar?found=%t\n  }}\n}}\n"
    );
    world.write("adblock.conf", config);
    let query = |url: &str| format!("{url} 127.0.1.1/10.129.23.1 - GET myip=- myport=3127\n");
    let options = ["--queue=99:20"];
    let pool = Pool::start_with(&world, &options, &["squidGuard", "-c", "adblock.conf"]);
    // Two words of a long option, as its read-me has them.
    let daemon = [
        "--num-daemons",
        "8",
        "--daemon",
        "squidGuard -c adblock.conf",
    ];
    let iotcpd = Iotcpd::start(&world, &daemon);
    let asks: [&dyn Fn(&str) -> String; 2] = [&|query| pool.ask(query), &|query| iotcpd.ask(query)];
    for ask in asks {
        for url in [
            "http://www.wowomg.com/foo.html",
            "http://bar.baaz.foo/test.html",
        ] {
            let answer = ask(&query(url));
            assert!(
                answer.contains("http://foo.bar?found=adblock"),
                "{answer:?}"
            );
            assert!(
                answer.ends_with('\n') && answer.matches('\n').count() == 1,
                "{answer:?}"
            );
        }
        for number in 0..20 {
            let answer = ask(&query(&format!("http://clean_url/baz/{number}")));
            assert!(
                !answer.contains("foo.bar") && answer.ends_with('\n'),
                "{answer:?}"
            );
        }
    }
    assert_eq!(pool.statistics()["daemon spawns"], 4.0);
    pool.terminate();
    iotcpd.interrupt();
}
