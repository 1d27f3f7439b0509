//! What all tests here share: certificates, servers that run, and a client of our own.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::launch::Launch;
use crate::support::place::{Place, ours, text};
use crate::support::process::{Outcome, Process};
use crate::support::{deadline, is_set};

/// Certificates and keys, all in one folder: `NAME.pem` and `NAME.key`, and `ca.pem`, which has signed those that are good.
pub(crate) struct Pki {
    place: Place,
}

/// Made of openssl(1) once, for all tests.
const SCRIPT: &str = r#"
set -e
exec 2>openssl.log
ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.pem \
  -subj "/CN=$1" -days 30; }
# name, kind of key, names, subject, issuer, days
leaf() {
  case $2 in
  ec) openssl ecparam -name prime256v1 -genkey -noout -out $1.key;;
  rsa) openssl genrsa -traditional -out $1.key 2048;;
  ed) openssl genpkey -algorithm ed25519 -out $1.key;;
  esac
  openssl req -new -key $1.key -subj "$4" -out $1.csr
  printf 'subjectAltName=%s\nbasicConstraints=%s\n' "$3" "${7:-CA:FALSE}" >$1.ext
  openssl x509 -req -in $1.csr -CA $5.pem -CAkey $5.key -CAcreateserial -days $6 -extfile $1.ext -out $1.pem
}
ca ca
ca stranger
leaf a ec DNS:a.example,DNS:*.wild.example,IP:127.0.0.1 /CN=a.example ca 30
leaf b rsa DNS:b.example /CN=b.example ca 30
leaf ed ed DNS:ed.example /CN=ed.example ca 30
leaf a2 ec DNS:a.example /CN=a2.example ca 30
leaf expired ec DNS:a.example,IP:127.0.0.1 /CN=expired ca -1
leaf under ec DNS:under.example /CN=under ca 30 CA:TRUE
leaf deep ec DNS:a.example,IP:127.0.0.1 /CN=deep under 30
cat deep.pem under.pem >chain.pem
leaf client ec DNS:client.example "/C=CH/O=Example/CN=client one" ca 30
leaf false ec DNS:client.example /CN=false stranger 30
openssl req -x509 -key a.key -out self.pem -subj /CN=a.example -addext subjectAltName=DNS:a.example -days 30
openssl req -x509 -config /dev/null -key a.key -out old.pem -subj /CN=a.example
for name in a b ed client; do cat $name.pem $name.key >$name.both; done
openssl pkcs8 -topk8 -nocrypt -in a.key -out a.pk8
openssl pkcs8 -topk8 -passout pass:secret -in a.key -out a.locked
openssl pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA1 -passout pass:secret -in b.key -out b.des3
openssl pkcs8 -topk8 -passout pass:plain-words-that-nobody-else-says -in a.key -out a.said
openssl pkcs8 -topk8 -scrypt -passout pass:secret -in a.key -out a.scrypt
openssl ec -in a.key -aes128 -passout pass:secret -out a.old128
openssl rsa -in b.key -traditional -aes256 -passout pass:secret -out b.old256
openssl rsa -in b.key -traditional -des3 -passout pass:secret -out b.old3des
"#;

/// The one of this process.
pub(crate) fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        let is_here = Command::new("openssl").arg("version").output().is_ok();
        if !is_here && !is_set("UCSPI_COMPONENTS_REQUIRED") {
            // There is no certificate without it, and no test without one. This is no test's own output, which nobody sees.
            let _ = writeln!(std::io::stderr(), "skipped: openssl is not here");
            std::process::exit(0);
        }
        let place = Place::new();
        let made = Command::new("sh")
            .args(["-c", SCRIPT])
            .current_dir(place.path())
            .status();
        let made = made.expect("there is a shell");
        assert!(made.success(), "openssl: {}", place.read("openssl.log"));
        Pki { place }
    })
}

impl Pki {
    /// The path of one of the files.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        self.place.read(name)
    }

    /// `--OPTION=FILE`
    pub(crate) fn option(&self, option: &str, name: &str) -> String {
        format!("--{option}={}", self.file(name))
    }

    /// The private key in a file, as its number: what OpenSSL shows of it.
    pub(crate) fn secret(&self, name: &str) -> Vec<u8> {
        let shown = openssl(self.place.path(), &["pkey", "-in", name, "-noout", "-text"]);
        let part = shown
            .split("priv:")
            .nth(1)
            .or_else(|| shown.split("prime1:").nth(1));
        let part = part.expect("OpenSSL shows keys");
        let digits = part
            .lines()
            .skip(1)
            .take_while(|line| line.starts_with("    "));
        let digits: String = digits.map(str::trim).collect();
        let bytes: Vec<u8> = digits
            .split(':')
            .filter(|digits| !digits.is_empty())
            .map(|digits| u8::from_str_radix(digits, 16).expect("hexadecimal"))
            .collect();
        // A number that begins with a high bit has a zero before it.
        bytes.into_iter().skip_while(|&byte| byte == 0).collect()
    }
}

/// What openssl(1) prints.
pub(crate) fn openssl(folder: &Path, words: &[&str]) -> String {
    let done = Command::new("openssl")
        .args(words)
        .current_dir(folder)
        .output();
    text(&done.expect("there is openssl").stdout)
}

/// A tlsserver or a tcprelay that listens; what else it runs in is its place.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) port: u16,
    pub(crate) place: Place,
}

impl Server {
    /// `tlsserver -1vRHl0 options 127.0.0.1 0 program`, with the certificate of a.example.
    pub(crate) fn start(options: &[&str], program: &[&str]) -> Self {
        let both = pki().option("cert", "a.both");
        Self::with(&[&[&both[..]], options].concat(), program)
    }

    /// The same with the certificates that are among the options.
    pub(crate) fn with(options: &[&str], program: &[&str]) -> Self {
        Self::launch(Place::new(), options, program, |launch| launch)
    }

    pub(crate) fn launch(
        place: Place,
        options: &[&str],
        program: &[&str],
        with: impl FnOnce(Launch) -> Launch,
    ) -> Self {
        Self::launch_one("tlsserver", place, options, program, with)
    }

    /// `tcprelay -1vRHl0 options 127.0.0.1 0 remotes`
    pub(crate) fn relay(options: &[&str], remotes: &[&str]) -> Self {
        Self::relay_in(Place::new(), options, remotes)
    }

    pub(crate) fn relay_in(place: Place, options: &[&str], remotes: &[&str]) -> Self {
        Self::launch_one("tcprelay", place, options, remotes, |launch| launch)
    }

    fn launch_one(
        name: &str,
        place: Place,
        options: &[&str],
        operands: &[&str],
        with: impl FnOnce(Launch) -> Launch,
    ) -> Self {
        let name = ours(name);
        let words = [
            &[&name[..], "-1vRHl0"],
            options,
            &["127.0.0.1", "0"],
            operands,
        ];
        let process = place.start(&words.concat(), with);
        let port = process.port();
        Self {
            process,
            port,
            place,
        }
    }

    /// The pid of its key process: its first child.
    pub(crate) fn key_process(&self) -> u32 {
        let children = crate::support::proc::children(self.process.pid());
        u32::try_from(children[0]).expect("a pid")
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.port)
    }

    /// A session with it, as `a.example`.
    pub(crate) fn session(&self) -> Tls {
        session(self.connect(), "a.example", trusting())
    }

    pub(crate) fn wait_for(&self, line: &str, count: usize) {
        let log = self.process.stderr.as_ref().expect("its log is a pipe");
        log.wait_for(line, count);
    }

    pub(crate) fn log(&self) -> String {
        let log = self.process.stderr.as_ref().expect("its log is a pipe");
        text(&log.so_far())
    }

    /// The lines of its log that have `word`, without the number.
    pub(crate) fn said(&self, word: &str) -> Vec<String> {
        let log = self.log();
        let lines = log.lines().filter(|line| line.contains(word));
        lines
            .map(|line| {
                let words = line.split(' ').filter(|word| word.parse::<u32>().is_err());
                words.collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    /// `openssl s_client` with these options; it has the end of its input as soon as `input` was sent.
    pub(crate) fn s_client(&self, options: &[&str], input: &str) -> Outcome {
        let address = format!("127.0.0.1:{}", self.port);
        let openssl = crate::support::place::find("openssl").expect("the tests need openssl");
        let ca = pki().file("ca.pem");
        let words = [
            &[
                &openssl[..],
                "s_client",
                "-connect",
                &address,
                "-CAfile",
                &ca,
            ],
            options,
        ];
        self.place
            .run(&words.concat(), |launch| launch.input(input))
    }
}

/// A plain server that gives back what it gets, to its end; as an operand. It lives as long as the test.
pub(crate) fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut &stream, &mut &stream);
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    address.to_string()
}

pub(crate) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    stream.set_read_timeout(Some(deadline())).expect("a limit");
    stream.set_write_timeout(Some(deadline())).expect("a limit");
    stream
}

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts our CA, shows no certificate, and begins anew each time.
pub(crate) fn trusting() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add(certificate("ca.pem")).expect("it is one");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("there are some")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    });
    let mut config = ClientConfig::clone(config);
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// The first certificate in a file.
pub(crate) fn certificate(name: &str) -> CertificateDer<'static> {
    let pem = pem::parse(pki().read(name)).expect("PEM");
    pem.into_contents().into()
}

/// A session with the server called `name`, whose handshake is done.
pub(crate) fn session(stream: TcpStream, name: &str, config: Arc<ClientConfig>) -> Tls {
    let mut session = open(stream, name, config);
    while session.conn.is_handshaking() {
        session
            .conn
            .complete_io(&mut session.sock)
            .expect("a handshake");
    }
    session
}

/// The same before the handshake.
pub(crate) fn open(stream: TcpStream, name: &str, config: Arc<ClientConfig>) -> Tls {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    StreamOwned::new(
        ClientConnection::new(config, name).expect("a client"),
        stream,
    )
}

/// Says `bytes` and that this is all, and gives what comes then.
pub(crate) fn say(mut session: Tls, bytes: &[u8]) -> Vec<u8> {
    session.write_all(bytes).expect("it listens");
    close(&mut session);
    let mut answer = Vec::new();
    session.read_to_end(&mut answer).expect("an orderly end");
    answer
}

/// Sends close_notify.
pub(crate) fn close(session: &mut Tls) {
    session.conn.send_close_notify();
    while session.conn.wants_write() {
        session
            .conn
            .write_tls(&mut session.sock)
            .expect("it listens");
    }
}

/// One line.
pub(crate) fn line(session: &mut Tls) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') {
        match session.read(&mut byte) {
            Ok(1) => line.push(byte[0]),
            other => panic!("no line, but {line:?} and {other:?}"),
        }
    }
    text(&line)
}
