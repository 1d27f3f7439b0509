use proptest::collection::vec;
use proptest::prelude::*;

use super::trial::{scan, scan_with};
use super::*;
use crate::service::{Packer, Unpacker};

const BY_THEMSELVES: [Frame; 9] = [
    Frame::Line,
    Frame::Crlf,
    Frame::Lines(1),
    Frame::Lines(3),
    Frame::Blank,
    Frame::Dot,
    Frame::Nul,
    Frame::Netstring,
    Frame::Len4,
];

/// What a frame is, said as simply as can be: true for one whole frame and nothing after it.
fn is_whole(frame: Frame, bytes: &[u8]) -> bool {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    let feeds = bytes.iter().filter(|&&byte| byte == b'\n').count();
    let last = lines.last().copied().unwrap_or_default();
    match frame {
        Frame::Line => bytes.ends_with(b"\n"),
        Frame::Crlf => bytes.ends_with(b"\r\n"),
        Frame::Lines(count) => feeds == count as usize && bytes.ends_with(b"\n"),
        Frame::Blank => [&b"\n"[..], b"\r\n"].contains(&last),
        Frame::Dot => [&b".\n"[..], b".\r\n"].contains(&last),
        Frame::Nul => bytes.ends_with(b"\0"),
        Frame::Netstring => {
            let text = String::from_utf8_lossy(bytes);
            let header = text.split_once(':').map(|(length, _)| length);
            let length = header.and_then(|header| header.parse::<usize>().ok());
            length.is_some_and(|length| {
                let header = format!("{length}:");
                bytes.starts_with(header.as_bytes())
                    && bytes.len() == header.len() + length + 1
                    && bytes.ends_with(b",")
            })
        }
        Frame::Len4 => bytes
            .split_first_chunk()
            .is_some_and(|(length, rest)| u32::from_be_bytes(*length) as usize == rest.len()),
        Frame::Idle(_) | Frame::Eof => false,
    }
}

/// Bytes of which frames are made, more often than others.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        6 => prop::sample::select(&b"\n\r.\0:,0123456789a"[..]),
        1 => any::<u8>(),
    ];
    vec(byte, 0..40)
}

fn frames() -> impl Strategy<Value = Frame> {
    let all = BY_THEMSELVES
        .into_iter()
        .chain([Frame::Eof, Frame::Idle(Duration::from_millis(5))]);
    prop::sample::select(all.collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn every_splitting_of_the_bytes_gives_the_same(
        frame in frames(),
        limit in 0_u64..30,
        bytes in bytes(),
        cuts in vec(0_usize..40, 0..8),
    ) {
        let whole = scan(frame, limit, [&bytes[..]]);
        prop_assert_eq!(scan(frame, limit, bytes.chunks(1)), whole);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let mut begin = 0;
        let mut pieces = Vec::new();
        for end in cuts.into_iter().chain([bytes.len()]) {
            pieces.push(&bytes[begin..end]);
            begin = end;
        }
        prop_assert_eq!(scan(frame, limit, pieces.iter().copied()), whole);
        // As another version of this program goes on with it.
        let handed_over = |scanner: Scanner| {
            let mut packer = Packer::default();
            scanner.pack(&mut packer);
            Scanner::unpack(&mut Unpacker::new(&packer.done()), frame, limit).expect("whole")
        };
        prop_assert_eq!(scan_with(frame, limit, pieces, handed_over), whole);
    }

    #[test]
    fn frame_is_the_shortest_beginning_that_is_one(
        frame in prop::sample::select(&BY_THEMSELVES[..]),
        bytes in bytes(),
    ) {
        let shortest = (0..=bytes.len()).find(|&end| is_whole(frame, &bytes[..end]));
        match scan(frame, 0, [&bytes[..]]) {
            Ok(found) => prop_assert_eq!(found, shortest),
            Err(fault) => {
                prop_assert_eq!((frame, fault, shortest), (Frame::Netstring, Fault::Broken, None));
            }
        }
    }

    #[test]
    fn frame_of_the_limit_is_found_and_one_byte_more_is_too_long(
        frame in prop::sample::select(&BY_THEMSELVES[..]),
        text in "[a-z]{1,20}",
    ) {
        let whole = frame.wrap(text.as_bytes());
        let length = whole.len() as u64;
        prop_assert_eq!(scan(frame, length, [&whole[..]]), Ok(Some(whole.len())));
        if length > 1 {
            prop_assert_eq!(scan(frame, length - 1, [&whole[..]]), Err(Fault::Long));
        }
    }

    #[test]
    fn text_that_is_wrapped_is_one_whole_frame(
        frame in prop::sample::select(&BY_THEMSELVES[..]),
        text in "[a-z ]{1,20}",
        more in bytes(),
    ) {
        let whole = frame.wrap(text.as_bytes());
        let with_more = [&whole[..], &more].concat();
        prop_assert_eq!(scan(frame, 0, [&with_more[..]]), Ok(Some(whole.len())));
    }

    #[test]
    fn number_that_is_put_in_front_comes_out_again(
        frame in prop::sample::select(&BY_THEMSELVES[..]),
        text in "[a-z]{1,20}",
        number in 0_u64..1_000_000_000_000_000_000,
    ) {
        let whole = frame.wrap(text.as_bytes());
        let numbered = frame.replace_front(&whole, 0, format!("{number} ").as_bytes()).unwrap();
        prop_assert_eq!(scan(frame, 0, [&numbered[..]]), Ok(Some(numbered.len())));
        prop_assert_eq!(frame.take_number(&numbered), Some((number, whole)));
    }
}

#[test]
fn length_that_is_said_counts_before_the_bytes_have_come() {
    assert_eq!(
        scan(Frame::Netstring, 1000, [&b"997:"[..]]),
        Err(Fault::Long)
    );
    assert_eq!(scan(Frame::Netstring, 1000, [&b"995:"[..]]), Ok(None));
    assert_eq!(
        scan(Frame::Len4, 1000, [&[0, 0, 3, 229][..]]),
        Err(Fault::Long)
    );
    assert_eq!(scan(Frame::Len4, 1000, [&[0, 0, 3, 228][..]]), Ok(None));
    assert_eq!(scan(Frame::Len4, 0, [&[255; 4][..]]), Ok(None));
}

#[test]
fn netstring_is_one_to_the_letter_or_none() {
    for broken in [
        "01:a,",
        ":,",
        "a:",
        "-1:",
        " 1:a,",
        "1:ab",
        "1234567890123456789",
    ] {
        let found = scan(Frame::Netstring, 0, [broken.as_bytes()]);
        assert_eq!(found, Err(Fault::Broken), "{broken}");
    }
    for whole in ["0:,", "1:a,", "10:0123456789,"] {
        let found = scan(Frame::Netstring, 0, [whole.as_bytes()]);
        assert_eq!(found, Ok(Some(whole.len())), "{whole}");
    }
}

#[test]
fn stream_without_an_end_of_its_own_may_be_as_long_as_the_limit() {
    for frame in [Frame::Eof, Frame::Idle(Duration::from_millis(1))] {
        assert_eq!(scan(frame, 3, [&b"abc"[..]]), Ok(None));
        assert_eq!(scan(frame, 3, [&b"abcd"[..]]), Err(Fault::Long));
    }
}

#[test]
fn reply_without_its_number_is_none() {
    for reply in [
        "",
        " a\n",
        "1\n",
        "a 1\n",
        "-1 a\n",
        "1234567890123456789 a\n",
        "1\ta\n",
    ] {
        assert_eq!(Frame::Line.take_number(reply.as_bytes()), None, "{reply:?}");
    }
}

#[test]
fn names_are_those_of_the_manual() {
    assert_eq!(Frame::parse(b"lines:3"), Some(Frame::Lines(3)));
    assert_eq!(
        Frame::parse(b"idle:250"),
        Some(Frame::Idle(Duration::from_millis(250)))
    );
    for name in [
        "",
        "Line",
        "lines",
        "lines:",
        "lines:0",
        "lines:-1",
        "lines:65536",
        "idle:0",
        "eof:1",
    ] {
        assert_eq!(Frame::parse(name.as_bytes()), None, "{name}");
    }
    for (name, frame) in [
        ("line", Frame::Line),
        ("crlf", Frame::Crlf),
        ("blank", Frame::Blank),
        ("dot", Frame::Dot),
        ("nul", Frame::Nul),
        ("netstring", Frame::Netstring),
        ("len4", Frame::Len4),
        ("eof", Frame::Eof),
    ] {
        assert_eq!(Frame::parse(name.as_bytes()), Some(frame));
    }
}
