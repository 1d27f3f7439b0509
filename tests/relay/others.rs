//! HAProxy in front and nginx behind, Debian's packages. Where one of them is not installed the test says that it was
//! skipped; with `UCSPI_COMPONENTS_REQUIRED=1` it fails instead.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::files::free_port;
use crate::temp::TempDir;
use crate::world::{Relay, program, until};

/// A program of others, ended when it goes out of scope.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).expect("a pid"));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

fn start(program: &str, arguments: &[&str]) -> Other {
    let mut command = Command::new(program);
    command.args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Other(command.spawn().expect("it is installed"))
}

/// The page, asked for without an early end: nginx takes that for a client that has gone, once it has to wait for it.
fn page_from(mut stream: std::net::TcpStream) -> std::io::Result<Vec<u8>> {
    stream.write_all(b"GET /page HTTP/1.0\r\nHost: h\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// True, and says so, when `program` is not here.
fn is_missing(program: &str) -> bool {
    let folders = ["/usr/sbin", "/usr/bin"];
    let is_here = folders
        .iter()
        .any(|folder| Path::new(folder).join(program).exists());
    let is_required = std::env::var_os("UCSPI_COMPONENTS_REQUIRED").is_some();
    assert!(is_here || !is_required, "{program} is not installed");
    if !is_here {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: {program} is not installed");
        }
    }
    !is_here
}

#[test]
fn haproxy_in_front_and_nginx_behind_get_pages_across() {
    let (haproxy, nginx) = ("/usr/sbin/haproxy", "/usr/sbin/nginx");
    if is_missing("haproxy") || is_missing("nginx") {
        return;
    }
    let folder = TempDir::new();
    let place = folder.path().display();
    let page: String = (0..200_000).map(|number| format!("{number}\n")).collect();
    std::fs::write(folder.path().join("page"), &page).expect("a folder of our own");
    let (behind, front) = (free_port(), free_port());
    let text = format!(
        "daemon off;\nmaster_process off;\npid {place}/nginx.pid;\nerror_log {place}/error;\nevents {{ }}\nhttp {{ access_log off;\n\
         client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;\n\
         uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;\nserver {{ listen 127.0.0.1:{behind}; root {place}; }} }}\n"
    );
    std::fs::write(folder.path().join("nginx.conf"), text).expect("a folder of our own");
    let prefix = place.to_string();
    let file = format!("{prefix}/nginx.conf");
    let _nginx = start(nginx, &["-p", &prefix, "-c", &file]);
    until("nginx listens", || {
        std::net::TcpStream::connect(("127.0.0.1", behind)).ok()
    });
    let relay = Relay::start(&["--threads=2"], &[&format!("127.0.0.1:{behind}")]);
    let text = format!(
        "defaults\n mode tcp\n timeout client 60s\n timeout server 60s\n timeout connect 10s\n\
         listen l\n bind 127.0.0.1:{front}\n server s 127.0.0.1:{}\n",
        relay.port
    );
    let file = format!("{prefix}/haproxy.cfg");
    std::fs::write(&file, text).expect("a folder of our own");
    let _haproxy = start(haproxy, &["-db", "-f", &file]);
    for _ in 0..20 {
        let stream = until("haproxy listens", || {
            std::net::TcpStream::connect(("127.0.0.1", front)).ok()
        });
        let answer = page_from(stream).expect("an answer");
        let answer = String::from_utf8(answer).expect("text");
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n"),
            "{}",
            &answer[..100.min(answer.len())]
        );
        assert!(answer.ends_with(&page));
    }
    relay.wait_for("status 0 in ", 20);
}

/// `examples/relay`: each relay would start, and HAProxy takes its files.
#[test]
fn examples_are_well() {
    if is_missing("openssl") {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/relay");
    let work = TempDir::new();
    std::fs::copy(
        folder.join("postgres.rules"),
        work.path().join("postgres.rules"),
    )
    .expect("it is there");
    let bin = work.path().join("bin");
    std::fs::create_dir(&bin).expect("a folder of our own");
    for name in ["tcprelay", "tcprules"] {
        std::os::unix::fs::symlink(program(name), bin.join(name)).expect("a folder of our own");
    }
    let path = format!("{}:/usr/bin:/bin", bin.display());
    std::fs::create_dir(work.path().join("certs")).expect("a folder of our own");
    let pem = work.path().join("certs/default.pem");
    let run = |command: &mut Command| {
        let output = command
            .current_dir(work.path())
            .env("PATH", &path)
            .env("SSL_CERT_FILE", &pem)
            .output()
            .expect("it runs");
        assert!(
            output.status.success(),
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    run(Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:P-256", "-subj", "/CN=pop.example.org"])
        .args(["-out", "certs/default.pem", "-keyout", "certs/default.pem"]));
    for name in ["ssh", "mail", "postgres", "tls", "untls"] {
        let text = std::fs::read_to_string(folder.join(name)).expect("it is there");
        let checking = text
            .replace("exec 2>&1\n", "")
            .replace("/etc/certs -u relay", "certs")
            .replace("tcprelay -v", "tcprelay --check-only -v");
        assert_ne!(text, checking);
        run(Command::new("sh").args(["-c", &checking]));
    }
    run(Command::new("tcprelay")
        .arg("-P")
        .arg(folder.join("relay.conf")));
    let haproxy = "/usr/sbin/haproxy";
    for name in ["haproxy-in-front.cfg", "haproxy-behind.cfg"] {
        if Path::new(haproxy).exists() {
            run(Command::new(haproxy)
                .arg("-c")
                .arg("-f")
                .arg(folder.join(name)));
        }
    }
}

/// Each difference from the original names a test that is there.
#[test]
fn differences_name_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| std::fs::read_to_string(root.join(file)).expect("it is there");
    let page = read("docs/differences.md");
    let (_, section) = page
        .split_once("event-driven-servers' tcprelay\n")
        .expect("a heading");
    let names = section.split('`').skip(1).step_by(2);
    let mut count = 0;
    for (module, name) in names.filter_map(|name| name.split_once("::")) {
        let file = match module {
            "config" => "src/relay/config/tests.rs".to_owned(),
            "relays" | "relay_files" => format!("tests/tls/{module}.rs"),
            "mistakes" => "src/relay/config/tests/mistakes.rs".to_owned(),
            module => format!("tests/relay/{module}.rs"),
        };
        assert!(
            read(&file).contains(&format!("fn {name}()")),
            "{module}::{name}"
        );
        count += 1;
    }
    assert!(count >= 10, "{count}");
}
