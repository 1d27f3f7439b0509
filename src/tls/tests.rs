//! What the key process says of changed certificates, and what a server makes of it: the key process is a thread here, and
//! a minute shorter.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConnection, SignatureScheme};
use tokio::time::{sleep, timeout};

use super::admission::Admission;
use super::chooser::{Chooser, TRIES_MAX};
use super::keys;
use super::material::Material;
use super::message::{DONE, FAILED, MESSAGE_MAX, SAME};
use super::options::{Manners, Terms, Trust, Versions, Whom};
use super::server::Tls;
use super::session::{Gathered, HELD_MAX, Session};
use super::vault::{Certified, Vault};
use crate::cli::{Verbosity, Voice};
use crate::sys::runtime::Runtime;
use crate::sys::{fd, socket};

/// The certificate of `one.example` and its key, good from 2020 to 2120.
const ONE: &str = include_str!("samples/one.pem");
/// That of `two.example`.
const TWO: &str = include_str!("samples/two.pem");

/// A folder that is removed when it is dropped, with one file for a certificate and its key.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("ucspi-tls-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("cert")
    }

    /// Puts another file there, which is never seen half.
    fn put(&self, text: &str) {
        let new = self.0.join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    fn remove(&self) {
        fs::remove_file(self.file()).unwrap();
    }

    fn material(&self) -> Material {
        Material {
            pairs: vec![(self.file(), None)],
            ..Material::default()
        }
    }

    /// The way to a thread that does what the key process does.
    fn vault(&self) -> Vault {
        let (ours, its) = socket::pair_for_messages().unwrap();
        let material = self.material();
        thread::spawn(move || keys::answer_all(&its, material, Ok(())));
        Vault::at(ours)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn each_change_is_found_once_and_said_once_whether_of_use_or_not() {
    let folder = Folder::new("changes");
    folder.put(ONE);
    let vault = folder.vault();
    assert_eq!(vault.load().unwrap().len(), 1);
    let look = || vault.look().map(|found| found.map(|all| all.len()));
    assert_eq!(look(), Ok(None));
    folder.put(TWO);
    assert_eq!(look(), Ok(Some(1)));
    assert_eq!(look(), Ok(None));
    let certificate = ONE.split_inclusive("-----END CERTIFICATE-----\n").next();
    let key = TWO.split_inclusive("-----END CERTIFICATE-----\n").nth(1);
    let (certificate, key) = (certificate.unwrap(), key.unwrap());
    for (text, why) in [
        ("no PEM", "it has no key"),
        (certificate, "it has no key"),
        (
            &[certificate, key].concat()[..],
            "the key is not that of the certificate",
        ),
    ] {
        folder.put(text);
        let said = look().unwrap_err();
        assert!(
            said.starts_with("unable to use ") && said.ends_with(why),
            "{said}"
        );
        assert_eq!(look(), Ok(None), "{why}");
    }
    folder.remove();
    let said = look().unwrap_err();
    assert!(said.starts_with("unable to read "), "{said}");
    assert_eq!(look(), Ok(None));
    folder.put(ONE);
    assert_eq!(look(), Ok(Some(1)));
    // A signal reads them in any case.
    assert_eq!(vault.load().unwrap().len(), 1);
}

#[test]
fn keys_that_were_replaced_sign_once_more_and_those_before_them_no_more() {
    let folder = Folder::new("generations");
    folder.put(ONE);
    let vault = folder.vault();
    let signs = |pairs: &[Certified]| {
        let key = &pairs[0].certified.key;
        let signer = key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]);
        signer.unwrap().sign(b"some text").is_ok()
    };
    let first = vault.load().unwrap();
    folder.put(TWO);
    let second = vault.load().unwrap();
    // A handshake may have chosen it just before.
    assert!(signs(&first) && signs(&second));
    let third = vault.load().unwrap();
    assert!(!signs(&first) && signs(&second) && signs(&third));
}

/// What is said of a client that trusts everybody.
fn everybody() -> Trust {
    Trust {
        whom: Whom {
            no_verify: true,
            ..Whom::default()
        },
        ..Trust::default()
    }
}

/// What such a client is told.
fn trusting() -> Arc<ClientConfig> {
    everybody().config(None).unwrap()
}

/// A client after its handshake with `server`, when it has read what the server says then.
fn met(client: Arc<ClientConfig>, tls: &Tls) -> ClientConnection {
    let name = ServerName::try_from("some.example").unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    let config = tls.admission.config(Versions::From12);
    let mut server = ServerConnection::new(config).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut packet = Vec::new();
        client.write_tls(&mut packet).unwrap();
        server.read_tls(&mut &packet[..]).unwrap();
        server.process_new_packets().unwrap();
        packet.clear();
        server.write_tls(&mut packet).unwrap();
        client.read_tls(&mut &packet[..]).unwrap();
        client.process_new_packets().unwrap();
    }
    client
}

#[test]
fn handshake_asks_the_key_process_once_whether_full_or_resumed() {
    let folder = Folder::new("questions");
    folder.put(ONE);
    let (vault, questions) = counted(folder.vault());
    let tls = Tls::over(vault, &Terms::default(), quiet()).unwrap();
    for versions in [Versions::Only13, Versions::Only12] {
        let client = Trust {
            versions,
            ..everybody()
        };
        let client = client.config(None).unwrap();
        let mut before = questions.load(Ordering::SeqCst);
        for kind in [
            HandshakeKind::Full,
            HandshakeKind::Resumed,
            HandshakeKind::Resumed,
        ] {
            let met = met(Arc::clone(&client), &tls);
            assert_eq!(met.handshake_kind(), Some(kind), "{versions:?}");
            let after = questions.load(Ordering::SeqCst);
            assert_eq!(after - before, 1, "{versions:?} {kind:?}");
            before = after;
        }
    }
}

/// The first message of a client that comes back with a ticket, with `count` forged ones in its place. RFC 8446 section 4.2.11
fn forged(hello: &[u8], ticket_bytes: usize, count: usize) -> Vec<u8> {
    let big = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    // The ticket, its age, and the binder are the last extension.
    let own = 4 + 2 + 2 + ticket_bytes + 4 + 2 + 1 + BINDER_BYTES;
    let before = hello.len() - own;
    let identity = &hello[before + 6..][..2 + ticket_bytes + 4];
    assert_eq!(
        hello[before..before + 2],
        [0, 41],
        "pre_shared_key is the last"
    );
    let name = &identity[2..22];
    let identities: Vec<u8> = (0..count)
        .flat_map(|number| {
            let mut forged = [&big(36)[..], name, &[0; 16], &[0; 4]].concat();
            forged[2 + 19] = forged[2 + 19].wrapping_add(u8::try_from(number).unwrap());
            forged
        })
        .collect();
    let binder_bytes = u8::try_from(BINDER_BYTES).unwrap();
    let binder = [&[binder_bytes][..], &[0; BINDER_BYTES]].concat();
    let binders = binder.repeat(count);
    let offers = [
        &big(identities.len())[..],
        &identities,
        &big(binders.len()),
        &binders,
    ]
    .concat();
    let mut made = [&hello[..before], &[0, 41], &big(offers.len()), &offers].concat();
    let grown = made.len() - hello.len();
    let mut grow = |place: usize| {
        let length = usize::from(u16::from_be_bytes([made[place], made[place + 1]]));
        made[place..place + 2].copy_from_slice(&big(length + grown));
    };
    // The record's length, the message's, and that of all extensions: after versions, chance, session and suites.
    grow(3);
    grow(7);
    let mut place = 9 + 2 + 32;
    place += 1 + usize::from(hello[place]);
    place += 2 + usize::from(u16::from_be_bytes([hello[place], hello[place + 1]]));
    place += 1 + usize::from(hello[place]);
    grow(place);
    made
}

/// What proves that a client has the key of a ticket, with SHA-384.
const BINDER_BYTES: usize = 48;

#[test]
fn client_with_a_hundred_tickets_asks_the_key_process_for_four() {
    let folder = Folder::new("forged");
    folder.put(ONE);
    let (vault, questions) = counted(folder.vault());
    let tls = Tls::over(vault, &Terms::default(), quiet()).unwrap();
    let client = trusting();
    met(Arc::clone(&client), &tls);
    let name = ServerName::try_from("some.example").unwrap();
    let mut again = ClientConnection::new(client, name).unwrap();
    let mut hello = Vec::new();
    again.write_tls(&mut hello).unwrap();
    let offered = hello.windows(2).rposition(|two| two == [0, 41]).unwrap();
    let ticket_bytes = usize::from(u16::from_be_bytes([hello[offered + 6], hello[offered + 7]]));
    let forged = forged(&hello, ticket_bytes, 100);
    let before = questions.load(Ordering::SeqCst);
    let config = tls.admission.config(Versions::From12);
    let mut server = ServerConnection::new(config).unwrap();
    let mut left = &forged[..];
    while !left.is_empty() {
        server.read_tls(&mut left).unwrap();
        server.process_new_packets().unwrap();
    }
    let asked = questions.load(Ordering::SeqCst) - before;
    // And for the signature.
    assert_eq!(asked, usize::try_from(TRIES_MAX).unwrap() + 1);
}

/// Bytes on their way, of which one in some is another.
fn bent(bytes: &[u8], dice: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if !bytes.is_empty() && dice(3) == 0 {
        let place = dice(bytes.len());
        match dice(4) {
            0 => bytes[place] ^= 1 << dice(8),
            1 => bytes.truncate(place),
            2 => bytes.insert(place, u8::try_from(dice(256)).unwrap()),
            _ => drop(bytes.drain(place..(place + dice(40)).min(bytes.len()))),
        }
    }
    bytes
}

#[test]
fn no_mutation_of_either_sides_bytes_crashes_a_session_or_lets_wrong_bytes_through() {
    let folder = Folder::new("mutations");
    folder.put(ONE);
    let tls = Tls::over(folder.vault(), &Terms::default(), quiet()).unwrap();
    let client = trusting();
    // xorshift, so that each run does the same.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut dice = |sides: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % sides as u64).unwrap()
    };
    let [mut whole, mut failed] = [0, 0];
    for round in 0..ROUNDS {
        let name = ServerName::try_from("some.example").unwrap();
        let versions = Versions::ALL[round % 3];
        let mut sides = [
            Session::client(Arc::clone(&client), name).unwrap(),
            Session::server(tls.admission.config(versions)).unwrap(),
        ];
        let mut out = Gathered::default();
        sides[0].begin(&mut out).unwrap();
        let mut here = 0;
        let mut heard = [Vec::new(), Vec::new()];
        let mut has_spoken = [false; 2];
        // Each says something when it can, and a handshake has three turns of each at most.
        for _ in 0..8 {
            let bytes = bent(out.bytes(), &mut dice);
            here = 1 - here;
            out.clear();
            let mut plain = Gathered::default();
            let mut room = vec![0; HELD_MAX + bytes.len()];
            let held = sides[here].put_held(&mut room);
            room[held..held + bytes.len()].copy_from_slice(&bytes);
            let input = &mut room[..held + bytes.len()];
            if sides[here].receive(input, &mut plain, &mut out).is_err() {
                failed += 1;
                assert!(sides[here].send(b"x", &mut out).is_err(), "{round}");
                break;
            }
            heard[here].extend_from_slice(plain.bytes());
            if !sides[here].is_young() && !has_spoken[here] {
                has_spoken[here] = true;
                sides[here].send(b"what I say", &mut out).unwrap();
            }
        }
        for heard in &heard {
            assert!(b"what I say".starts_with(heard), "{round}: {heard:?}");
        }
        whole += usize::from(heard.iter().all(|heard| heard == b"what I say"));
    }
    assert!(whole > 0 && failed > ROUNDS / 4, "{whole} {failed}");
}

/// How many handshakes.
const ROUNDS: usize = 300;

/// The same way to the key process, by somebody who counts questions.
fn counted(vault: Vault) -> (Vault, Arc<AtomicUsize>) {
    let (ours, its) = socket::pair_for_messages().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    thread::spawn(move || {
        let mut room = vec![0; MESSAGE_MAX];
        while let Ok(length @ 1..) = fd::read(&its, &mut room) {
            counter.fetch_add(1, Ordering::SeqCst);
            let answered = vault.ask(&[&room[..length]], |message| {
                let _ = fd::write(&its, message);
                matches!(message, [DONE | FAILED | SAME, ..])
            });
            answered.unwrap();
        }
    });
    (Vault::at(ours), count)
}

fn quiet() -> Voice {
    let mut voice = Voice::new("tlsserver");
    voice.verbosity = Verbosity::Quiet;
    voice
}

/// The certificate that a client is shown, as PEM has it.
fn shown(tls: &Tls) -> String {
    let client = met(trusting(), tls);
    let chain = client.peer_certificates().unwrap();
    pem::encode(&pem::Pem::new("CERTIFICATE", chain[0].to_vec())).replace("\r\n", "\n")
}

async fn until_shown(tls: &Tls, sample: &str) {
    while !sample.starts_with(&shown(tls)) {
        sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn certificates_that_have_changed_come_into_force_without_a_signal() {
    let folder = Folder::new("looks");
    folder.put(ONE);
    let signers = Folder::new("signers");
    signers.put(ONE);
    let manners = Manners {
        client_ca: Some(signers.file()),
        client_ca_optional: true,
        ..Manners::default()
    };
    let terms = Terms {
        manners,
        ..Terms::default()
    };
    let mut tls = Tls::over(folder.vault(), &terms, quiet()).unwrap();
    assert_eq!(tls.every, Duration::from_secs(60));
    tls.every = Duration::from_millis(1);
    let tls = tls;
    let changes = async {
        until_shown(&tls, ONE).await;
        folder.put(TWO);
        until_shown(&tls, TWO).await;
        folder.put("of no use");
        for _ in 0..5 {
            sleep(tls.every).await;
            assert!(TWO.starts_with(&shown(&tls)));
        }
        folder.put(ONE);
        until_shown(&tls, ONE).await;
        let config = || tls.admission.config(Versions::From12);
        let before = config();
        signers.put(TWO);
        while Arc::ptr_eq(&before, &config()) {
            sleep(tls.every).await;
        }
    };
    Runtime::new().unwrap().wait(async {
        tokio::select! {
            _ = tls.keep() => panic!("the keys are gone"),
            done = timeout(Duration::from_secs(30), changes) => done.unwrap(),
        }
    });
}

#[test]
fn each_change_of_who_signs_clients_certificates_is_found_once() {
    let [folder, signers] = ["admission", "ca"].map(Folder::new);
    folder.put(ONE);
    signers.put(ONE);
    let vault = folder.vault();
    let chooser = Arc::new(Chooser::new(vault.load().unwrap()));
    let manners = Manners {
        client_ca: Some(signers.file()),
        ..Manners::default()
    };
    let admission = Admission::new(manners, chooser, vault).unwrap();
    let look = || admission.look().map_err(|error| error.text().to_vec());
    assert_eq!(look(), Ok(None));
    signers.put(&[ONE, TWO].concat());
    assert_eq!(look(), Ok(Some(2)));
    assert_eq!(look(), Ok(None));
    let before = admission.config(Versions::From12);
    signers.put("of no use");
    look().unwrap_err();
    signers.remove();
    look().unwrap_err();
    assert_eq!(look(), Ok(None));
    assert!(Arc::ptr_eq(&before, &admission.config(Versions::From12)));
    // A signal reads them in any case.
    signers.put(TWO);
    assert_eq!(admission.read().unwrap(), Some(1));
    assert_eq!(look(), Ok(None));
}

#[test]
fn handshake_may_take_26_seconds() {
    assert_eq!(Manners::default().patience, Duration::from_secs(26));
}
