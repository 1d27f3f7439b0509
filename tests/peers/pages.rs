//! finger@ and http@ with servers that others wrote, under our tcpserver.

use std::os::unix::fs::PermissionsExt as _;

use super::Test;
use crate::support::own_net;
use crate::support::place::{Place, find, ours, text};

pub(crate) const TESTS: &[(&str, Test)] = &[
    (
        "finger@::efingerd_tells_about_users",
        efingerd_tells_about_users,
    ),
    ("http@::micro_httpd_gives_pages", micro_httpd_gives_pages),
];

fn efingerd_tells_about_users() -> Result<(), String> {
    let efingerd = find("efingerd")?;
    let place = Place::new();
    own_net::etc_folder("efingerd");
    for name in ["list", "luser", "nouser"] {
        let file = format!("efingerd/{name}");
        own_net::etc(&file, format!("#!/bin/sh\necho {name} \"$@\"\n"));
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(format!("/etc/{file}"), mode).expect("this /etc is ours");
    }
    let (_server, _) = place.serve(79, &[&efingerd, "-n", "-u"], |launch| launch);
    for (args, told) in [
        (&["127.0.0.1"][..], "list (null) 127.0.0.1"),
        (&["127.0.0.1", "root"], "luser (null) 127.0.0.1 root"),
        (&["127.0.0.1", "no-one"], "nouser (null) 127.0.0.1 no-one"),
    ] {
        let shown = place.shown(&[&["finger@"], args].concat());
        // The full name of a user may stand before it, and an empty line behind it.
        assert_eq!(shown.trim_end().lines().last(), Some(told), "{shown:?}");
    }
    Ok(())
}

fn micro_httpd_gives_pages() -> Result<(), String> {
    let httpd = find("micro-httpd").or_else(|_| find("micro_httpd"))?;
    let place = Place::new();
    let page = "<p>one</p>\n\n\n<p>two</p>\n\nend of the page";
    place.write("page.html", page);
    let long: String = (0..200_000)
        .map(|number| format!("line {number}\n"))
        .collect();
    place.write("long.txt", &long);
    let folder = place.path().to_string_lossy().into_owned();
    let (_server, port) = place.serve(0, &[&httpd, &folder], |launch| launch);
    let port = port.to_string();
    assert_eq!(
        place.shown(&["http@", "127.0.0.1", "page.html", &port]),
        format!("{page}\n")
    );
    assert!(place.shown(&["http@", "127.0.0.1", "long.txt", &port]) == long);
    // What is not there is a page, too.
    let missing = place.shown(&["http@", "127.0.0.1", "nothing", &port]);
    assert!(missing.contains("404"), "{missing}");

    // The same bytes as whoever asks by hand: all but the head, without CRs.
    let request = "printf 'GET /page.html HTTP/1.0\\r\\n\\r\\n' >&7; exec cat <&6";
    let tcpclient = ours("tcpclient");
    let words = [
        &tcpclient[..],
        "-RHl0",
        "127.0.0.1",
        &port,
        "sh",
        "-c",
        request,
    ];
    let raw = text(&place.run(&words, |launch| launch).stdout);
    assert!(raw.ends_with(&format!("\r\n\r\n{page}")), "{raw}");
    Ok(())
}
