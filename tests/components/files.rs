//! Two servers of files: rsync, which insists on a socket as its descriptor 0, and a small HTTP server.

use std::fs;

use crate::world::{self, count, lossy};

#[test]
fn rsync_daemon_serves_a_tree_of_files() {
    let Some(world) = world::with(&["rsync"]) else {
        return;
    };
    for number in 0..200_usize {
        let text = format!("file {number}\n").repeat(number * 13 % 997 + 1);
        world.write(&format!("tree/{}/{number}", number % 7), text);
    }
    let mut config = format!(
        "log file = {}\nuse chroot = no\n[files]\npath = {}\nread only = yes\n",
        world.name("rsync.log"),
        world.name("tree")
    );
    if crate::support::is_root() {
        // Otherwise the daemon becomes nobody, who may not read every temporary directory.
        config += "uid = 0\ngid = 0\n";
    }
    world.write("rsync.conf", config);
    let daemon = ["rsync", "--daemon", "--config", &world.name("rsync.conf")];
    let rules = world.rules("127.0.0.1:allow\n:deny\n");
    let options = ["-v", "-HRl0", "-x", &rules, "127.0.0.1", "0"];
    let server = world.serve(options.iter().chain(&daemon));
    let url = format!("rsync://127.0.0.1:{}/files/", server.port);
    let rsync = ["--archive", "--timeout=20", &url, "copy"];
    world.succeed(world.program("rsync", rsync));
    world.succeed(world.program("diff", ["--recursive", "tree", "copy"]));
    server.log().wait_for(" end ", 1);
    let log = server.terminate();
    assert!(
        log.contains(" status 0\n"),
        "{log}{}",
        lossy(&fs::read(world.path("rsync.log")).unwrap_or_default())
    );
}

#[test]
fn web_server_under_recordio_serves_curl_and_is_recorded_under_its_own_pid() {
    let Some(world) = world::with(&["micro-httpd", "curl"]) else {
        return;
    };
    world.write("www/page.html", "<p>It is served.</p>\n");
    let www = world.name("www");
    let server = world.serve([
        "-v",
        "-HRl0",
        "127.0.0.1",
        "0",
        "recordio",
        "micro-httpd",
        &www,
    ]);
    let curl = |path: &str| {
        let url = format!("http://127.0.0.1:{}/{path}", server.port);
        let words = [
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "20",
        ];
        let status = ["--write-out", "%{http_code}", &url];
        lossy(&world.succeed(world.program("curl", words.iter().chain(&status))))
    };
    assert_eq!(curl("page.html"), "<p>It is served.</p>\n200");
    assert!(curl("missing.html").ends_with("404"));
    server.log().wait_for(" end ", 2);
    let log = server.terminate();
    let pids: Vec<&str> = log
        .lines()
        .filter_map(|line| line.strip_prefix("tcpserver: pid "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(pids.len(), 2, "{log}");
    for (pid, request, answer) in [
        (pids[0], "GET /page.html HTTP/1.1", "200"),
        (pids[1], "GET /missing.html HTTP/1.1", "404"),
    ] {
        assert_eq!(count(&log, &format!("{pid} < {request}")), 1, "{log}");
        let status = format!("{pid} > HTTP/1.0 {answer} ");
        assert_eq!(count(&log, &status), 1, "{log}");
        assert_eq!(count(&log, &format!("{pid} > [EOF]")), 1, "{log}");
    }
    assert_eq!(
        count(&log, &format!("{} > <p>It is served.</p>", pids[0])),
        1,
        "{log}"
    );
}
