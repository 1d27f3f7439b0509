//! Streams of bytes that can be told from all others.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::world::Dice;

/// A byte of stream `seed`, at `at`.
fn pattern(seed: usize, at: usize) -> u8 {
    let mixed = (at + seed * 7919).wrapping_mul(2_654_435_761) >> 13;
    mixed.to_le_bytes()[0]
}

/// Sends bytes of stream `seed` in random pieces until it has sent `count`.
pub(crate) fn pour(stream: &mut TcpStream, seed: usize, count: usize) -> std::io::Result<()> {
    let mut dice = Dice(seed as u64 * 2 + 12345);
    let mut at = 0;
    while at < count {
        let most = [10, 3000, 70_000, 400_000][dice.below(4)];
        let length = (1 + dice.below(most)).min(count - at);
        let piece: Vec<u8> = (at..at + length).map(|at| pattern(seed, at)).collect();
        stream.write_all(&piece)?;
        at += length;
    }
    Ok(())
}

/// Receives bytes of stream `seed` until the end; returns how many.
pub(crate) fn drink(stream: &mut TcpStream, seed: usize) -> std::io::Result<usize> {
    let mut room = vec![0; 100_000];
    let mut at = 0;
    loop {
        let length = stream.read(&mut room)?;
        if length == 0 {
            return Ok(at);
        }
        let is_right = room[..length]
            .iter()
            .enumerate()
            .all(|(index, byte)| *byte == pattern(seed, at + index));
        assert!(is_right, "stream {seed} differs after byte {at}");
        at += length;
    }
}

/// Ends the connection by a reset.
pub(crate) fn reset(stream: TcpStream) {
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger)
        .expect("a socket");
}
