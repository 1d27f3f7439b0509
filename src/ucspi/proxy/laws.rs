//! What holds for every header, for every way in which it is cut, and beside a crate that reads headers too.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::crc32c::crc32c;
use super::{Addresses, Facts, Header, Tls, V1_MAX, V2_MAX, Version, Wrong, read};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const ENDS: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0x01, 0xbb];

/// A header of version 2.
fn v2(command: u8, family: u8, rest: &[&[u8]]) -> Vec<u8> {
    let rest = rest.concat();
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, &rest].concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

/// A header of version 2 with its checksum, and these TLVs before and behind it.
fn summed(before: &[u8], behind: &[u8], change: u32) -> Vec<u8> {
    let mut whole = v2(0x21, 0x11, &[&ENDS, before, &tlv(3, &[0; 4]), behind]);
    let at = 16 + 12 + before.len() + 3;
    let sum = crc32c(whole.iter().copied()) ^ change;
    whole[at..at + 4].copy_from_slice(&sum.to_be_bytes());
    whole
}

fn ends(remote: &str, local: &str) -> Option<Addresses> {
    Some(Addresses {
        remote: remote.parse().unwrap(),
        local: local.parse().unwrap(),
    })
}

fn of_v2() -> Option<Addresses> {
    ends("192.0.2.1:12345", "198.51.100.2:443")
}

/// The addresses in a header, all of which `bytes` must be.
fn whole(bytes: &[u8]) -> Result<Option<Addresses>, &'static str> {
    let (header, length) = read(bytes).map_err(|Wrong(why)| why)?.expect("it is whole");
    assert_eq!(length, bytes.len());
    Ok(header.addresses)
}

/// The text, 2.1, with the longest of each kind.
#[test]
fn lines_of_the_text_are_read() {
    const F: &str = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    for (line, addresses) in [
        (
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n".to_owned(),
            ends("192.168.0.1:56324", "192.168.0.11:443"),
        ),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n".to_owned(),
            ends("255.255.255.255:65535", "255.255.255.255:65535"),
        ),
        (
            format!("PROXY TCP6 {F} {F} 65535 65535\r\n"),
            ends(&format!("[{F}]:65535"), &format!("[{F}]:65535")),
        ),
        (
            "PROXY TCP6 ::1 2001:db8::2 0 1\r\n".to_owned(),
            ends("[::1]:0", "[2001:db8::2]:1"),
        ),
        ("PROXY UNKNOWN\r\n".to_owned(), None),
        (format!("PROXY UNKNOWN {F} {F} 65535 65535\r\n"), None),
        ("PROXY UNKNOWN \0 what\rever\r\n".to_owned(), None),
    ] {
        assert_eq!(whole(line.as_bytes()), Ok(addresses), "{line}");
    }
}

#[test]
fn lines_that_are_none_say_why() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_MAX));
    for (line, why) in [
        ("GET / HTTP/1.0\r\n", "it begins otherwise"),
        ("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "it begins otherwise"),
        ("PROXY  TCP4", ""),
        (
            "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "its protocol is not TCP4, TCP6 or UNKNOWN",
        ),
        (
            "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "its protocol is not TCP4, TCP6 or UNKNOWN",
        ),
        (
            "PROXY UNKNOWNS\r\n",
            "its protocol is not TCP4, TCP6 or UNKNOWN",
        ),
        ("PROXY \r\n", "its protocol is not TCP4, TCP6 or UNKNOWN"),
        (
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
            "the line does not end in CR LF",
        ),
        ("PROXY UNKNOWN\nx\r\n", "the line does not end in CR LF"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4\r\n", "a port is no number"),
        (
            "PROXY TCP4 1.2.3.4\r\n",
            "an address is none of its protocol",
        ),
        (
            "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
            "an address is none of its protocol",
        ),
        (
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "an address is none of its protocol",
        ),
        (
            "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            "an address is none of its protocol",
        ),
        (
            "PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
            "an address is none of its protocol",
        ),
        (
            "PROXY TCP4 1.2.3.4 1.2.3.256 1 2\r\n",
            "an address is none of its protocol",
        ),
        (
            "PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
            "an address is none of its protocol",
        ),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "a port is no number"),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", "a port is no number"),
        (
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            "a port is no number",
        ),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", "a port is no number"),
        (
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
            "there is more behind the ports",
        ),
        (&long, "the line has no end within 107 bytes"),
    ] {
        match read(line.as_bytes()) {
            Ok(None) => assert_eq!(why, "", "{line}"),
            read => assert_eq!(read, Err(Wrong(why)), "{line}"),
        }
    }
}

#[test]
fn families_that_are_not_of_tcp_keep_the_real_addresses() {
    let v6 = [[0x20; 32].as_slice(), &[0, 1, 0, 2]].concat();
    let unix = [b'/'; 216];
    for (command, family, rest, addresses) in [
        (0x21, 0x11, &ENDS[..], of_v2()),
        (
            0x21,
            0x21,
            &v6,
            ends(
                "[2020:2020:2020:2020:2020:2020:2020:2020]:1",
                "[2020:2020:2020:2020:2020:2020:2020:2020]:2",
            ),
        ),
        (0x21, 0x00, b"", None),
        (0x21, 0x12, &ENDS, None),
        (0x21, 0x22, &v6, None),
        (0x21, 0x31, &unix, None),
        (0x21, 0x32, &unix, None),
        (0x20, 0x11, &ENDS, None),
        (0x20, 0xff, b"what ever", None),
        (0x20, 0x00, b"", None),
    ] {
        let header = v2(command, family, &[rest]);
        assert_eq!(whole(&header), Ok(addresses), "{command:x} {family:x}");
    }
}

#[test]
fn binary_headers_that_are_none_say_why() {
    let long = [0; 4097];
    let ssl = |value: &[u8]| tlv(0x20, value);
    for (header, why) in [
        (v2(0x11, 0x11, &[&ENDS]), "its version is not 2"),
        (v2(0x31, 0x11, &[&ENDS]), "its version is not 2"),
        (
            v2(0x22, 0x11, &[&ENDS]),
            "its command is not LOCAL or PROXY",
        ),
        (
            v2(0x21, 0x13, &[&ENDS]),
            "its family or its protocol is unknown",
        ),
        (
            v2(0x21, 0x41, &[&ENDS]),
            "its family or its protocol is unknown",
        ),
        (
            v2(0x21, 0x01, &[&ENDS]),
            "its family or its protocol is unknown",
        ),
        (
            v2(0x21, 0x11, &[&ENDS[1..]]),
            "it is too short for its addresses",
        ),
        (
            v2(0x21, 0x21, &[&ENDS]),
            "it is too short for its addresses",
        ),
        (
            v2(0x21, 0x31, &[&[0; 215]]),
            "it is too short for its addresses",
        ),
        (v2(0x20, 0x00, &[&long]), "it is longer than 4112 bytes"),
        (v2(0x21, 0x11, &[&ENDS, &[4]]), "a TLV is cut"),
        (v2(0x21, 0x11, &[&ENDS, &[4, 0]]), "a TLV is cut"),
        (v2(0x21, 0x11, &[&ENDS, &[4, 0, 1]]), "a TLV is cut"),
        (v2(0x21, 0x12, &[&ENDS, &[4, 0, 1]]), "a TLV is cut"),
        (
            v2(0x21, 0x11, &[&ENDS, &ssl(&[1, 0, 0, 0])]),
            "a TLV is cut",
        ),
        (
            v2(0x21, 0x11, &[&ENDS, &ssl(&[1, 0, 0, 0, 0, 0x21, 0, 9])]),
            "a TLV is cut",
        ),
        (
            v2(0x21, 0x11, &[&ENDS, &tlv(2, b"a\0b")]),
            "a NUL is in what should be text",
        ),
        (
            v2(0x21, 0x11, &[&ENDS, &tlv(3, &[0; 3])]),
            "its checksum is wrong",
        ),
        (summed(b"", b"", 1), "its checksum is wrong"),
        (summed(b"", b"", 1 << 31), "its checksum is wrong"),
    ] {
        assert_eq!(read(&header), Err(Wrong(why)));
    }
}

#[test]
fn checksum_is_that_of_the_header_with_zeros_in_its_place() {
    let more = tlv(2, b"example.org");
    for header in [summed(b"", b"", 0), summed(&more, &more, 0)] {
        assert_eq!(whole(&header), Ok(of_v2()));
    }
}

/// The facts that a TLV tells.
fn facts(tlvs: &[Vec<u8>]) -> Facts {
    let header = v2(0x21, 0x11, &[&ENDS, &tlvs.concat()]);
    read(&header).unwrap().unwrap().0.facts
}

#[test]
fn facts_are_those_that_are_understood() {
    let told = facts(&[
        tlv(0xe0, b"\0custom"),
        tlv(4, &[0; 20]),
        tlv(1, b"h2"),
        tlv(2, "b\u{fc}cher.example".as_bytes()),
        tlv(5, b"id-7"),
        tlv(0x30, b"netns"),
    ]);
    let expected = Facts {
        alpn: Some(b"h2".to_vec()),
        authority: Some("b\u{fc}cher.example".into()),
        unique_id: Some(b"id-7".to_vec()),
        tls: None,
    };
    assert_eq!(told, expected);
    assert_eq!(
        facts(&[tlv(5, &[0, 0xab, b'x'])]).unique_id.unwrap(),
        b"00ab78"
    );
}

#[test]
fn name_in_a_certificate_counts_when_it_was_verified() {
    let tls = |client: u8, verify: u8| {
        let inner = [tlv(0x21, b"TLSv1.3"), tlv(0x22, b"alice"), tlv(0x99, b"?")].concat();
        facts(&[tlv(
            0x20,
            &[&[client, 0, 0, 0, verify][..], &inner].concat(),
        )])
        .tls
    };
    let known = |name: Option<&str>| {
        Some(Tls {
            version: Some(b"TLSv1.3".to_vec()),
            common_name: name.map(Into::into),
            ..Tls::default()
        })
    };
    assert_eq!(tls(7, 0), known(Some("alice")));
    assert_eq!(tls(5, 0), known(Some("alice")));
    assert_eq!(tls(7, 1), known(None), "not verified");
    assert_eq!(tls(1, 0), known(None), "there was no certificate");
    assert_eq!(tls(6, 0), None, "no TLS");
}

fn address() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(SocketAddr::from)
}

fn addresses() -> impl Strategy<Value = Option<Addresses>> {
    let both = (address(), address()).prop_map(|(remote, local)| Addresses { remote, local });
    proptest::option::of(both)
}

fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(proptest::collection::vec(0x21..0x7f_u8, 1..40))
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let tls = (value(), value(), value(), value(), value());
    let tls = tls.prop_map(|(version, common_name, cipher, signature, key)| Tls {
        version,
        common_name,
        cipher,
        signature,
        key,
    });
    (value(), value(), value(), proptest::option::of(tls)).prop_map(
        |(alpn, authority, unique_id, tls)| Facts {
            alpn,
            authority,
            unique_id,
            tls,
        },
    )
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V1), Just(Version::V2)]
}

/// Headers of both versions, and what is nearly one.
fn nearly_a_header() -> impl Strategy<Value = Vec<u8>> {
    let written = (addresses(), any_facts(), version())
        .prop_map(|(addresses, facts, version)| Header { addresses, facts }.write(version));
    let damage = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let damaged = (written, damage).prop_map(|(mut bytes, damage)| {
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    let words = "PROXY (TCP4|TCP6|UNKNOWN|TCP) ?[0-9a-f.:]{0,20} [0-9a-f.:]{0,20} [0-9]{0,6} [0-9]{0,6}\r?\n";
    prop_oneof![
        damaged,
        words.prop_map(String::into_bytes),
        any::<Vec<u8>>()
    ]
}

/// As the other end of a connection sees it: IPv4 in IPv6 form is told from IPv4.
fn alike(addresses: Addresses) -> Addresses {
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::from((ip.to_ipv6_mapped(), address.port())),
        IpAddr::V6(_) => address,
    };
    let Addresses { remote, local } = addresses;
    if remote.is_ipv4() && local.is_ipv4() {
        return addresses;
    }
    Addresses {
        remote: mapped(remote),
        local: mapped(local),
    }
}

/// What `ppp` makes of it: the addresses, and how long the header is. Nothing where more is needed.
fn theirs(bytes: &[u8]) -> Result<Option<(Option<Addresses>, usize)>, String> {
    use ppp::{HeaderResult, PartialResult, v1, v2};
    let ends = |remote: IpAddr, remote_port, local: IpAddr, local_port| {
        Some(Addresses {
            remote: SocketAddr::new(remote, remote_port),
            local: SocketAddr::new(local, local_port),
        })
    };
    let result = HeaderResult::parse(bytes);
    if result.is_incomplete() {
        return Ok(None);
    }
    match result {
        HeaderResult::V1(Err(error)) => Err(error.to_string()),
        HeaderResult::V2(Err(error)) => Err(error.to_string()),
        HeaderResult::V1(Ok(header)) => {
            let addresses = match header.addresses {
                v1::Addresses::Unknown => None,
                v1::Addresses::Tcp4(it) => ends(
                    it.source_address.into(),
                    it.source_port,
                    it.destination_address.into(),
                    it.destination_port,
                ),
                v1::Addresses::Tcp6(it) => ends(
                    it.source_address.into(),
                    it.source_port,
                    it.destination_address.into(),
                    it.destination_port,
                ),
            };
            Ok(Some((addresses, header.header.len())))
        }
        HeaderResult::V2(Ok(header)) => {
            let is_tcp =
                header.command == v2::Command::Proxy && header.protocol == v2::Protocol::Stream;
            let addresses = match header.addresses {
                _ if !is_tcp => None,
                v2::Addresses::IPv4(it) => ends(
                    it.source_address.into(),
                    it.source_port,
                    it.destination_address.into(),
                    it.destination_port,
                ),
                v2::Addresses::IPv6(it) => ends(
                    it.source_address.into(),
                    it.source_port,
                    it.destination_address.into(),
                    it.destination_port,
                ),
                _ => None,
            };
            Ok(Some((addresses, header.header.len())))
        }
    }
}

proptest! {
    /// What is written is read, whatever follows, and no byte less makes a header.
    #[test]
    fn header_is_read_as_it_was_written(
        addresses in addresses(),
        facts in any_facts(),
        version in version(),
        more in any::<Vec<u8>>(),
    ) {
        let header = Header { addresses, facts };
        let bytes = header.write(version);
        let longest = if version == Version::V1 { V1_MAX } else { V2_MAX };
        prop_assert!(bytes.len() <= longest);
        let (read_header, length) = read(&[&bytes[..], &more].concat()).unwrap().unwrap();
        prop_assert_eq!(length, bytes.len());
        prop_assert_eq!(read_header.addresses, header.addresses.map(alike));
        // LOCAL says nothing, and a line has no room for more.
        let says_all = version == Version::V2 && header.addresses.is_some();
        let facts = if says_all { header.facts } else { Facts::default() };
        prop_assert_eq!(read_header.facts, facts);
        for cut in 0..bytes.len() {
            prop_assert_eq!(read(&bytes[..cut]), Ok(None), "cut at {}", cut);
        }
    }

    /// Bytes that come one by one say the same in the end as when they come together.
    #[test]
    fn more_bytes_never_change_what_is_known(bytes in nearly_a_header()) {
        let all = read(&bytes);
        for cut in 0..bytes.len() {
            let known = read(&bytes[..cut]);
            prop_assert!(known == Ok(None) || known == all, "cut at {cut}: {known:?}");
        }
        if let Ok(Some((_, length))) = all {
            prop_assert!(length <= bytes.len() && length <= V2_MAX);
        }
    }

    /// What we take for a header is one for others too, and says the same.
    #[test]
    fn others_read_the_same(mut bytes in nearly_a_header()) {
        if let Ok(Some((header, length))) = read(&bytes) {
            // The family of LOCAL is to be ignored (2.2), which they do not.
            if bytes.starts_with(SIGNATURE) && bytes[12] == 0x20 {
                bytes[13] = 0;
            }
            let theirs = theirs(&bytes).expect("they take it");
            prop_assert_eq!(theirs, Some((header.addresses, length)));
        }
    }
}
