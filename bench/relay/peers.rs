//! The relays, each as its users would set it up for speed: no log, many connections.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::load::{Backend, Way};

/// A relay that can be started.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    program: PathBuf,
    threads: u32,
    /// Arguments for what it is to do; `None` when it cannot.
    arguments: fn(&Task) -> Option<Vec<String>>,
}

/// What a relay is to do.
pub(crate) struct Task<'a> {
    port: u16,
    /// The backend's port.
    to: u16,
    /// A folder of its own.
    folder: &'a Path,
    threads: u32,
    /// Speak TLS with clients, and show them what is in this file.
    certificate: Option<&'a Path>,
}

/// How clients come, and what they are shown.
#[derive(Clone, Copy)]
pub(crate) struct Front<'a> {
    pub(crate) way: &'a Way,
    pub(crate) certificate: Option<&'a Path>,
}

/// How each of them is found; `None` is not there.
pub(crate) const PEERS: &[fn(&Path) -> Option<Peer>] = &[
    |ours| peer("ours, 1 thread", 1, ours.join("tcprelay"), line),
    |ours| peer("ours, 2 threads", 2, ours.join("tcprelay"), line),
    |_| peer("haproxy, 1 thread", 1, HAPROXY.into(), haproxy_file),
    |_| peer("haproxy, 2 threads", 2, HAPROXY.into(), haproxy_file),
    |_| peer("nginx, 1 worker", 1, NGINX.into(), nginx_file),
    |_| {
        let program = PathBuf::from(std::env::var_os("BENCH_TCPRELAY")?);
        peer("event-driven-servers", 1, program, tcprelay_file)
    },
];

const HAPROXY: &str = "/usr/sbin/haproxy";
const NGINX: &str = "/usr/sbin/nginx";

type Arguments = fn(&Task) -> Option<Vec<String>>;

fn peer(name: &'static str, threads: u32, program: PathBuf, arguments: Arguments) -> Option<Peer> {
    program.exists().then_some(Peer {
        name,
        program,
        threads,
        arguments,
    })
}

fn line(task: &Task) -> Option<Vec<String>> {
    let Task {
        port,
        to,
        threads,
        certificate,
        ..
    } = task;
    let tls = certificate.map_or_else(String::new, |file| {
        format!("--tls --cert={} ", file.display())
    });
    let words =
        format!("-RHl0 -c 9000 -b 4096 --threads={threads} {tls}127.0.0.1 {port} 127.0.0.1:{to}");
    Some(words.split(' ').map(str::to_owned).collect())
}

fn haproxy_file(task: &Task) -> Option<Vec<String>> {
    let Task {
        port,
        to,
        folder,
        threads,
        certificate,
    } = task;
    let tls = certificate.map_or_else(String::new, |file| format!(" ssl crt {}", file.display()));
    let file = folder.join("haproxy.cfg");
    let text = format!(
        "global\n nbthread {threads}\n maxconn 7000\ndefaults\n mode tcp\n timeout client 1h\n timeout server 1h\n \
         timeout connect 10s\n option splice-auto\nlisten l\n bind 127.0.0.1:{port} backlog 4096{tls}\n server s 127.0.0.1:{to}\n"
    );
    fs::write(&file, text).expect("a folder of our own");
    Some(vec!["-db".into(), "-f".into(), file.display().to_string()])
}

fn nginx_file(task: &Task) -> Option<Vec<String>> {
    let Task {
        port,
        to,
        folder,
        threads,
        certificate,
    } = task;
    let (ssl, tls) = certificate.map_or_else(Default::default, |file| {
        let file = file.display();
        (
            " ssl",
            format!(" ssl_certificate {file}; ssl_certificate_key {file};"),
        )
    });
    let file = folder.join("nginx.conf");
    let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
    let load = if Path::new(module).exists() {
        format!("load_module {module};\n")
    } else {
        String::new()
    };
    let place = folder.display();
    let text = format!(
        "{load}daemon off;\nworker_processes {threads};\nworker_rlimit_nofile 100000;\npid {place}/pid;\n\
         error_log stderr crit;\nevents {{ worker_connections 70000; }}\nstream {{\n\
         server {{ listen 127.0.0.1:{port} backlog=4096{ssl};{tls} proxy_pass 127.0.0.1:{to}; }} }}\n"
    );
    fs::write(&file, text).expect("a folder of our own");
    Some(vec![
        "-p".into(),
        place.to_string(),
        "-c".into(),
        file.display().to_string(),
    ])
}

fn tcprelay_file(task: &Task) -> Option<Vec<String>> {
    let Task {
        port,
        to,
        folder,
        certificate,
        ..
    } = task;
    let (yes, tls) = match certificate {
        None => ("no", String::new()),
        Some(file) => ("yes", format!(" tls cert-file = \"{}\"", file.display())),
    };
    let file = folder.join("tcprelay.cfg");
    let text = format!(
        "id = spawnd {{ listen = {{ address = 127.0.0.1 port = {port} backlog = 4096 tls = {yes} }}\n spawn = {{ instances min = 1 \
         instances max = 1 users max = 9000 }} }}\n\
         id = tcprelay {{ remote = {{ address = 127.0.0.1 port = {to} }}{tls} }}\n"
    );
    fs::write(&file, text).expect("a folder of our own");
    Some(vec![file.display().to_string()])
}

/// A relay that runs, in a process group of its own.
pub(crate) struct Relay {
    child: Child,
    pub(crate) port: u16,
    folder: PathBuf,
}

impl Peer {
    /// Starts it, and waits until it takes connections; `None` when it does not.
    pub(crate) fn start(&self, backend: &Backend, front: Front<'_>) -> Option<Relay> {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("bench-relay-{port}"));
        fs::create_dir_all(&folder).ok()?;
        let task = Task {
            port,
            to: backend.port,
            folder: &folder,
            threads: self.threads,
            certificate: front.certificate,
        };
        let arguments = (self.arguments)(&task)?;
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let relay = Relay {
            child: command.spawn().ok()?,
            port,
            folder,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !front.way.ping(port) {
            if Instant::now() > deadline {
                eprintln!("{} does not start", self.name);
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(relay)
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

impl Relay {
    /// Its process, and all that came from it.
    fn processes(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let mut at = 0;
        while let Some(&pid) = found.get(at) {
            found.extend(crate::process::children(pid));
            at += 1;
        }
        found
    }

    /// The time that all its threads have run, in seconds, by the scheduler's own clock.
    pub(crate) fn cpu(&self) -> f64 {
        let of_process = |pid: u32| {
            let tasks = fs::read_dir(format!("/proc/{pid}/task"))
                .into_iter()
                .flatten();
            let times = tasks.filter_map(|task| {
                let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
                text.split(' ').next()?.parse::<f64>().ok()
            });
            times.sum::<f64>() / 1e9
        };
        self.processes().into_iter().map(of_process).sum()
    }

    /// Memory that only its processes use, in kilobytes.
    pub(crate) fn memory(&self) -> f64 {
        self.processes()
            .into_iter()
            .map(crate::process::memory_of)
            .sum()
    }

    /// How many pipes its processes have open, by both ends.
    pub(crate) fn pipes(&self) -> usize {
        let of_process = |pid: u32| {
            let all = fs::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten();
            let links = all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
            links
                .filter(|link| link.to_string_lossy().starts_with("pipe:"))
                .count()
                / 2
        };
        self.processes().into_iter().map(of_process).sum()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for pid in self.processes() {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
