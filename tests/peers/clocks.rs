//! date@ and time@ with the internal services of xinetd and inetd.

use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Test;
use crate::support::place::{Place, find, text, wait_for_port};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("date@::xinetd_tells_the_time", date_of_xinetd),
    ("date@::inetd_tells_the_time", date_of_inetd),
    ("time@::xinetd_tells_the_time", time_of_xinetd),
    ("time@::inetd_tells_the_time", time_of_inetd),
];

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

const XINETD_CONF: &str = "\
defaults
{
    bind = 127.0.0.1
    instances = 10
}
service daytime
{
    type = INTERNAL
    id = daytime-stream
    socket_type = stream
    protocol = tcp
    user = root
    wait = no
}
service time
{
    type = INTERNAL
    id = time-stream
    socket_type = stream
    protocol = tcp
    user = root
    wait = no
}
";

const INETD_CONF: &str = "\
127.0.0.1:daytime stream tcp nowait root internal
127.0.0.1:time stream tcp nowait root internal
";

fn date_of_xinetd() -> Result<(), String> {
    with_xinetd(tells_the_date)
}

fn time_of_xinetd() -> Result<(), String> {
    with_xinetd(tells_the_time)
}

fn date_of_inetd() -> Result<(), String> {
    with_inetd(tells_the_date)
}

fn time_of_inetd() -> Result<(), String> {
    with_inetd(tells_the_time)
}

fn with_xinetd(test: fn(&Place)) -> Result<(), String> {
    let xinetd = find("xinetd")?;
    let place = Place::new();
    place.write("xinetd.conf", XINETD_CONF);
    let conf = place.path().join("xinetd.conf");
    let conf = conf.to_string_lossy().into_owned();
    let words = [&xinetd[..], "-dontfork", "-stayalive", "-f", &conf];
    let server = place.start(&words, |launch| launch.env("TZ", "UTC0"));
    wait_for_port(&server, HERE, 13);
    wait_for_port(&server, HERE, 37);
    test(&place);
    Ok(())
}

fn with_inetd(test: fn(&Place)) -> Result<(), String> {
    let inetd = find("inetd")?;
    let place = Place::new();
    place.write("inetd.conf", INETD_CONF);
    // With -i it stays where it is.
    let words = [&inetd[..], "-i", "inetd.conf"];
    let server = place.start(&words, |launch| launch.env("TZ", "UTC0"));
    wait_for_port(&server, HERE, 13);
    wait_for_port(&server, HERE, 37);
    test(&place);
    Ok(())
}

pub(crate) fn tells_the_date(place: &Place) {
    let before = now();
    let shown = place.shown(&["date@", "127.0.0.1"]);
    let line = shown.strip_suffix('\n').expect("a whole line");
    assert!(!line.contains(['\n', '\r', '^']), "{shown:?}");
    assert_is_since(before, line, place);
}

/// `date`, as date(1) writes it, is not before that second and not in the future.
pub(crate) fn assert_is_since(second: i64, date: &str, place: &Place) {
    let now = now();
    let words = ["/usr/bin/date", "-u", &format!("--date={date}"), "+%s"];
    let told = place.run(&words, |launch| launch);
    let told: i64 = text(&told.stdout).trim().parse().unwrap_or(0);
    assert!(
        (second..=now).contains(&told),
        "{date:?} is not from {second} to {now}"
    );
}

fn tells_the_time(place: &Place) {
    let shown = place.shown(&["time@", "-m1", "127.0.0.1", "127.0.0.1"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 3, "{shown}");
    for (line, name) in lines.iter().zip(["localhost", "127.0.0.1", "127.0.0.1"]) {
        // Its second may be over when its answer is read.
        let same = format!("{name:24} {:8} ", 0);
        let behind = format!("{name:24} {:8} ", -1);
        assert!(
            line.starts_with(&same) || line.starts_with(&behind),
            "{shown}"
        );
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.expect("it is past 1970").as_secs();
    i64::try_from(seconds).expect("the year is a small number")
}
