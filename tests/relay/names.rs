//! Names of remotes, and addresses to connect from.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;

use crate::balance::arrive;
use crate::temp::TempDir;
use crate::world::{PATIENCE, Relay, Remote, program, until};

/// A name server for which every name has the same IPv4 addresses; none at first.
pub(crate) struct Names(Arc<Mutex<Vec<Ipv4Addr>>>);

impl Names {
    /// One at `ip`; `None` without the right to port 53.
    pub(crate) fn serve(ip: &str) -> Option<Self> {
        let socket = UdpSocket::bind((ip, 53)).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let addresses: Arc<Mutex<Vec<Ipv4Addr>>> = Arc::default();
        let known = Arc::clone(&addresses);
        std::thread::spawn(move || {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                let known = known.lock().expect("no panic").clone();
                let answer = answer(&packet[..length], &known);
                let _ = socket.send_to(&answer, from);
            }
        });
        Some(Self(addresses))
    }

    fn are(&self, addresses: &[Ipv4Addr]) {
        *self.0.lock().expect("no panic") = addresses.to_vec();
    }
}

/// RFC 1035 section 4.1.
fn answer(question: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
    let name_end = 12
        + question[12..]
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(0);
    let is_ipv4 = question.get(name_end + 2) == Some(&1);
    let addresses = if is_ipv4 { addresses } else { &[] };
    let mut answer = question[..name_end + 5].to_vec();
    // NXDOMAIN when there is nothing: names that have only addresses of the other kind are not asked for here.
    let code = if addresses.is_empty() && is_ipv4 {
        3
    } else {
        0
    };
    answer[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, 0, 0, 0, 0, 0]);
    answer[7] = u8::try_from(addresses.len()).expect("few");
    for address in addresses {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address.octets());
    }
    answer
}

#[test]
fn names_stand_for_all_their_addresses_and_are_looked_up_again_at_hup() {
    let Some(names) = Names::serve("127.53.15.2") else {
        return;
    };
    let a = Remote::at("A", "127.0.0.2:0").expect("a port");
    let port = a.address.port();
    let (first, second) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let b = Remote::at("B", &format!("{second}:{port}")).expect("nobody has that");
    assert_eq!(b.taken(), 0);
    names.are(&[first]);
    let mut command = Command::new(program("tcprelay"));
    command.args(["-1vRHl0", "127.0.0.1", "0", &format!("app.test:{port}")]);
    command.env("DNSCACHEIP", "127.53.15.2");
    let relay = Relay::run(TempDir::new(), command);
    assert_eq!(
        (arrive(&relay).0, arrive(&relay).0),
        ("A".into(), "A".into())
    );
    names.are(&[first, second]);
    relay.signal(Signal::SIGHUP);
    until("B has sessions, too", || {
        (arrive(&relay).0 == "B").then_some(())
    });
    until("A still has", || (arrive(&relay).0 == "A").then_some(()));
    // And a session that has begun goes on with whom it has.
    let lasting = arrive(&relay);
    names.are(&[second]);
    relay.signal(Signal::SIGHUP);
    until("A has no more", || {
        let all = [arrive(&relay).0, arrive(&relay).0, arrive(&relay).0];
        all.iter().all(|name| name == "B").then_some(())
    });
    drop(lasting);
    // A name without an address changes nothing.
    names.are(&[]);
    relay.signal(Signal::SIGHUP);
    relay.wait_for(
        "tcprelay: warning: nothing is changed: no IP address for app.test\n",
        1,
    );
    assert_eq!(arrive(&relay).0, "B");
}

#[test]
fn connections_come_from_the_local_address_that_is_given() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let own = format!("{address}/local=127.0.0.6");
    for (options, remote, expected) in [
        (&["--local=127.0.0.5"][..], &address, "127.0.0.5"),
        (&[], &own, "127.0.0.6"),
        (&["--local=127.0.0.5"], &own, "127.0.0.6"),
    ] {
        let relay = Relay::start(options, &[remote]);
        let _client = relay.connect();
        let (_, peer) = listener.accept().expect("a connection");
        assert_eq!(peer.ip().to_string(), expected);
    }
}

#[test]
fn ipv6_remotes_stand_in_brackets() {
    let Some(a) = Remote::at("A", "[::1]:0") else {
        return;
    };
    let relay = Relay::start(&[], &[&a.operand()]);
    assert!(a.operand().starts_with("[::1]:"));
    assert_eq!(relay.ask(b"1"), b"A1");
}
