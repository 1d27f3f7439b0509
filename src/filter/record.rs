//! What recordio writes: a line for each piece of a packet.
//!
//! ```text
//! PID < text          bytes into the program, ended by a line feed (in the log: a blank, then the line feed)
//! PID > text+         bytes from the program, the line goes on
//! PID < [EOF]
//! ```
//!
//! Source: recordio(1) of the original, and observed runs: a packet is at most 256 bytes and is cut at line feeds.

use super::pump::Observer;
use super::wrap::{FROM_PROGRAM, INTO_PROGRAM};
use crate::sys::fd;
use crate::sys::places::all_places;
use crate::sys::process::Pid;

const PACKET_BYTES: usize = 256;
/// What a pipe takes in one piece: lines are gathered, and never split, up to this. PIPE_BUF, pipe(7).
const GATHER_BYTES: usize = 4096;
/// The same of a file, where nothing comes in between however much is written at once.
const GATHER_BYTES_FOR_FILE: usize = 64 * 1024;

/// Writes both directions to descriptor 2. A log that cannot be written stops nothing.
#[derive(Debug)]
pub struct Recorder {
    /// `PID < ` and `PID > `.
    marks: [String; 2],
    lines: Vec<u8>,
    /// How many bytes of lines are gathered.
    gathered: usize,
}

impl Recorder {
    /// A recorder whose lines name `pid`, that of the program.
    pub fn new(pid: Pid) -> Self {
        let mut marks = [String::new(), String::new()];
        marks[INTO_PROGRAM] = format!("{pid} < ");
        marks[FROM_PROGRAM] = format!("{pid} > ");
        let gathered = if fd::is_file(fd::STDERR) {
            GATHER_BYTES_FOR_FILE
        } else {
            GATHER_BYTES
        };
        Self {
            marks,
            lines: Vec::with_capacity(gathered),
            gathered,
        }
    }

    fn line(&mut self, way: usize, text: &[u8], end: &[u8]) {
        if self.lines.len() + self.marks[way].len() + text.len() + end.len() > self.gathered {
            self.flush();
        }
        for part in [self.marks[way].as_bytes(), text, end] {
            self.lines.extend_from_slice(part);
        }
    }

    fn flush(&mut self) {
        let _ = fd::write_all(fd::STDERR, &self.lines);
        self.lines.clear();
    }
}

impl Observer for Recorder {
    fn packet(&mut self, way: usize, bytes: &mut Vec<u8>) {
        for packet in bytes.chunks(PACKET_BYTES) {
            let mut start = 0;
            for line_feed in all_places(packet, b'\n') {
                self.line(way, &packet[start..line_feed], b" \n");
                start = line_feed + 1;
            }
            if start < packet.len() {
                self.line(way, &packet[start..], b"+\n");
            }
        }
        self.flush();
    }

    fn end(&mut self, way: usize) {
        self.line(way, b"[EOF]", b"\n");
        self.flush();
    }
}
