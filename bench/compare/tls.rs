//! tlsserver beside stunnel in front of tcpserver (where `/usr/bin/stunnel` is): what a connection with a handshake costs all
//! their processes, the program too; and what it costs that keys are in a process of their own.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{self, sign};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SignatureScheme, StreamOwned,
};

use crate::process::{Clock, Server, children, process_time_of, wait};
use crate::report::median_of;
use crate::works::{Place, Unit};

/// A work: its name, the certificate, how many connections, whether they are resumed, and how many times stunnel's number
/// ours may be.
struct Work {
    name: &'static str,
    certificate: &'static str,
    count: usize,
    is_resumed: bool,
    target: Option<f64>,
}

const WORKS: [Work; 3] = [
    Work {
        name: "CPU of a TLS connection, full handshake, P-256",
        certificate: "ec",
        count: 2000,
        is_resumed: false,
        target: Some(0.4),
    },
    Work {
        name: "CPU of a TLS connection, full handshake, RSA-2048",
        certificate: "rsa",
        count: 1000,
        is_resumed: false,
        target: None,
    },
    Work {
        name: "CPU of a TLS connection, resumed",
        certificate: "ec",
        count: 2000,
        is_resumed: true,
        target: None,
    },
];

const KEYS: &str = "CPU that the key process adds to a full handshake, P-256";
/// As a part of the handshake.
const KEYS_MOST: f64 = 0.07;

/// How many clients there are at once.
const AT_ONCE: usize = 4;
/// How many connections come before those that count: for caches, and for tickets.
const BEFORE: usize = 16;
const STUNNEL: &str = "/usr/bin/stunnel";

/// Prints the table of those works whose names are wanted.
pub(crate) fn print(place: &Place, rounds: usize, is_wanted: impl Fn(&str) -> bool) {
    let works: Vec<&Work> = WORKS.iter().filter(|work| is_wanted(work.name)).collect();
    if works.is_empty() && !is_wanted(KEYS) {
        return;
    }
    make_certificates(place);
    println!("\n| TLS | tlsserver | stunnel and tcpserver | Ratio | Target | Met |");
    println!("|---|---|---|---|---|---|");
    let show = |seconds| Unit::Microseconds.show(seconds);
    for work in works {
        let measured: Vec<(f64, Option<f64>)> = (0..=rounds)
            .map(|_| (of_ours(place, work).sum(), of_stunnel(place, work)))
            // A round that does not count warms the caches up.
            .skip(1)
            .collect();
        eprintln!("{}: {measured:.6?}", work.name);
        let ours = median_of(measured.iter().map(|round| round.0).collect());
        let its: Option<Vec<f64>> = measured.iter().map(|round| round.1).collect();
        let ratios = measured.iter().map(|(ours, its)| its.map(|its| ours / its));
        let ratio = ratios.collect::<Option<Vec<f64>>>().map(median_of);
        let text = |number: Option<String>| number.unwrap_or_default();
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            work.name,
            show(ours),
            text(its.map(|its| show(median_of(its)))),
            text(ratio.map(|ratio| format!("{ratio:.2}"))),
            text(work.target.map(|most| format!("<= {most}"))),
            text(
                work.target
                    .zip(ratio)
                    .map(|(most, ratio)| yes(ratio <= most))
            ),
        );
    }
    if is_wanted(KEYS) {
        let added = |_| {
            let (cost, bare, asking) = (of_ours(place, &WORKS[0]), bare_work(place), asking());
            let Cost { server, keys, .. } = cost;
            eprintln!("server {server:.7} keys {keys:.7} bare {bare:.7} asking {asking:.7}");
            let added = keys - bare + asking;
            (added, added / (server + keys))
        };
        let (added, parts): (Vec<f64>, Vec<f64>) = (0..=rounds).map(added).skip(1).unzip();
        eprintln!("{KEYS}: {added:.7?} {parts:.4?}");
        let part = median_of(parts);
        println!(
            "| {KEYS} | {} | | {part:.2} of the server's | <= {KEYS_MOST} | {} |",
            show(median_of(added)),
            yes(part <= KEYS_MOST)
        );
    }
}

fn yes(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}

/// `ec.pem`, `ec.key`, `rsa.pem` and `rsa.key`, which nobody has signed.
fn make_certificates(place: &Place) {
    for (name, kind) in [("ec", "ec"), ("rsa", "rsa:2048")] {
        let [pem, key] = ["pem", "key"].map(|end| place.file(&format!("{name}.{end}")));
        let words = "req -x509 -config /dev/null -nodes -subj /CN=a.example -addext subjectAltName=DNS:a.example";
        let mut openssl = Command::new("openssl");
        openssl.args(words.split(' ')).args(["-newkey", kind]);
        if name == "ec" {
            openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256"]);
        }
        openssl.args(["-out", &pem, "-keyout", &key]);
        let made = openssl.stderr(Stdio::null()).status();
        assert!(made.expect("there is openssl").success());
    }
}

/// What a connection costs: the server's process, its key process, and the program.
struct Cost {
    server: f64,
    keys: f64,
    program: f64,
}

impl Cost {
    fn sum(&self) -> f64 {
        self.server + self.keys + self.program
    }
}

fn of_ours(place: &Place, work: &Work) -> Cost {
    let file = |end: &str| place.file(&format!("{}.{end}", work.certificate));
    let options = [
        "-RHl0".to_owned(),
        format!("--cert={}", file("pem")),
        format!("--key={}", file("key")),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let tlsserver = place.ours.join("tlsserver");
    let server = Server::of(&tlsserver, &options, &[&place.answer], Stdio::null());
    let keys = children(server.pid())[0];
    let times = || [server.pid(), keys].map(process_time_of);
    let [server_before, keys_before] = times();
    connect(place, server.port, work);
    let [server_after, keys_after] = times();
    let programs = server.end() - server_after;
    let each = |seconds| seconds / number(BEFORE + work.count);
    Cost {
        server: each(server_after - server_before),
        keys: each(keys_after - keys_before),
        program: each(programs),
    }
}

fn of_stunnel(place: &Place, work: &Work) -> Option<f64> {
    if !Path::new(STUNNEL).exists() {
        return None;
    }
    let server = Server::start(&place.ours, &["-RHl0"], &[&place.answer], Stdio::null());
    let server_before = process_time_of(server.pid());
    let stunnel = Stunnel::start(place, work.certificate, server.port);
    let before = process_time_of(stunnel.child.id());
    connect(place, stunnel.port, work);
    let cost = process_time_of(stunnel.child.id()) - before + server.end() - server_before;
    Some(cost / number(BEFORE + work.count))
}

struct Stunnel {
    child: Child,
    port: u16,
}

impl Stunnel {
    fn start(place: &Place, certificate: &str, to: u16) -> Self {
        let holder = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = holder.local_addr().expect("an address").port();
        drop(holder);
        let [pem, key] = ["pem", "key"].map(|end| place.file(&format!("{certificate}.{end}")));
        let file = place.file("stunnel.conf");
        let text = format!(
            "foreground = yes\npid =\nsyslog = no\ndebug = err\n[s]\naccept = 127.0.0.1:{port}\n\
             connect = 127.0.0.1:{to}\ncert = {pem}\nkey = {key}\n"
        );
        std::fs::write(&file, text).expect("the folder is ours");
        let mut command = Command::new(STUNNEL);
        command.arg(file).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().expect("it starts");
        let limit = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < limit, "stunnel does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port }
    }
}

impl Drop for Stunnel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        wait(&mut self.child);
    }
}

/// Makes the connections of a work, each to its end; those before them, too.
fn connect(place: &Place, port: u16, work: &Work) {
    let mut roots = RootCertStore::empty();
    let certificate = place.file(&format!("{}.pem", work.certificate));
    let certificate = CertificateDer::from_pem_file(certificate).expect("it was made");
    roots.add(certificate).expect("it is one");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("there are some")
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !work.is_resumed {
        config.resumption = Resumption::disabled();
    }
    let config = Arc::new(config);
    let all = |count, expected: Option<HandshakeKind>| {
        let left = AtomicUsize::new(count);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    let less = |left: usize| left.checked_sub(1);
                    while left.fetch_update(Relaxed, Relaxed, less).is_ok() {
                        let kind = connect_once(port, Arc::clone(&config));
                        assert!(expected.is_none_or(|expected| kind == Some(expected)));
                    }
                });
            }
        });
    };
    all(BEFORE, None);
    let kind = if work.is_resumed {
        HandshakeKind::Resumed
    } else {
        HandshakeKind::Full
    };
    all(work.count, Some(kind));
}

fn connect_once(port: u16, config: Arc<ClientConfig>) -> Option<HandshakeKind> {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let limit = Some(Duration::from_secs(60));
    stream.set_read_timeout(limit).expect("a limit can be set");
    let name = ServerName::try_from("a.example").expect("a name");
    let client = ClientConnection::new(config, name).expect("a client");
    let mut stream = StreamOwned::new(client, stream);
    let mut answer = Vec::new();
    // How it ends is not the question here.
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.is_empty(), "the program says something");
    stream.conn.handshake_kind()
}

/// What the key process has to do for a full handshake, done here: a signature.
fn bare_work(place: &Place) -> f64 {
    let key = PrivateKeyDer::from_pem_file(place.file("ec.key")).expect("it was made");
    let key = sign::any_supported_type(&key).expect("it is one");
    let signer = key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]);
    let signer = signer.expect("it can do that");
    repeat(2000, || {
        signer.sign(&[b'x'; QUESTION]).expect("it signs");
    })
}

/// How long a question to the key process is, in bytes, more or less: what is signed has 130.
const QUESTION: usize = 137;

/// What it costs to ask somebody else and to wait for the answer.
fn asking() -> f64 {
    let kind = SockType::SeqPacket;
    let (ours, its) =
        socketpair(AddressFamily::Unix, kind, None, SockFlag::empty()).expect("descriptors");
    let answers = std::thread::spawn(move || {
        let mut room = [0; 1024];
        while let Ok(length @ 1..) = nix::unistd::read(&its, &mut room) {
            nix::unistd::write(&its, &room[..length]).expect("it is asked");
        }
    });
    let ask = |to: &OwnedFd| {
        nix::unistd::write(to, &[b'x'; QUESTION]).expect("it listens");
        nix::unistd::read(to, &mut [0; 1024]).expect("it answers");
    };
    let each = repeat(2000, || ask(&ours));
    drop(ours);
    answers.join().expect("it ends");
    each
}

/// The processor time of this thread for `work`, in seconds, as the mean of `times`.
fn repeat(times: usize, mut work: impl FnMut()) -> f64 {
    let clock = Clock::start();
    (0..times).for_each(|_| work());
    clock.seconds() / number(times)
}

#[allow(clippy::cast_precision_loss, reason = "a few thousand")]
fn number(count: usize) -> f64 {
    count as f64
}
