//! What the relay logs, one method an event. The texts are an interface: log analysers depend on them.
//!
//! Carriers log from their own threads; each line is one write.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use super::targets::Target;
use crate::cli::{FAILED, PERMANENT, Voice, reason};
use crate::ucspi::facts::Facts;
use crate::ucspi::log::parties;

/// The log of a relay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log(pub(super) Voice);

impl Log {
    /// `open NUMBER from IP`: a connection was accepted.
    pub(super) fn opened(&self, number: u32, ip: IpAddr) {
        if self.0.tells_everything() {
            self.0
                .tell(&[format!("open {number} from {ip}").as_bytes()]);
        }
    }

    /// `ok NUMBER LOCALHOST:LOCALIP:LOCALPORT REMOTEHOST:REMOTEIP:REMOTEINFO:REMOTEPORT to REMOTE`: a remote takes it.
    pub(super) fn carried(&self, number: u32, facts: Option<&Facts>, target: &Target) {
        if self.0.tells_everything() {
            let parties = facts.map_or_else(|| b"unix".to_vec(), parties);
            let number = format!("ok {number} ");
            let to = format!(" to {}", target.name);
            self.0.tell(&[number.as_bytes(), &parties, to.as_bytes()]);
        }
    }

    /// `tls NUMBER WORDS`, and of a remote `tls NUMBER to REMOTE WORDS`: what there is to know of the TLS of a side.
    pub(super) fn secured(&self, number: u32, remote: Option<&Target>, words: &str) {
        if self.0.tells_everything() {
            let line = match remote {
                None => format!("tls {number} {words}"),
                Some(target) => format!("tls {number} to {} {words}", target.name),
            };
            self.0.tell(&[line.as_bytes()]);
        }
    }

    /// `tls NUMBER failed REASON`: a client does not get on with TLS.
    pub(super) fn unmet(&self, number: u32, why: &str, lasted: Duration) {
        self.secured(number, None, &format!("failed {why}"));
        self.ended(number, FAILED, [0, 0], lasted);
    }

    /// `retry NUMBER REMOTE REASON`: a remote did not take it.
    pub(super) fn retried(&self, number: u32, target: &Target, why: &str) {
        if self.0.tells_everything() {
            let line = format!("retry {number} {} {why}", target.name);
            self.0.tell(&[line.as_bytes()]);
        }
    }

    /// `dead REMOTE REASON`: a remote that was alive is taken for dead.
    pub(super) fn died(&self, target: &Target, why: &str) {
        let line = format!("dead {} {why}", target.name);
        self.0.warn(&[line.as_bytes()]);
    }

    /// `alive REMOTE`: it has come back.
    pub(super) fn revived(&self, target: &Target) {
        let line = format!("alive {}", target.name);
        self.0.warn(&[line.as_bytes()]);
    }

    /// `deny NUMBER IP`: a list of who may connect does not let it.
    pub(super) fn denied(&self, number: u32, ip: IpAddr, lasted: Duration) {
        if self.0.tells_everything() {
            self.0.tell(&[format!("deny {number} {ip}").as_bytes()]);
        }
        self.ended(number, PERMANENT, [0, 0], lasted);
    }

    /// `fail NUMBER REASON`: a connection is closed without having been carried.
    pub(super) fn failed(&self, number: u32, why: &[u8], lasted: Duration) {
        if self.0.tells_everything() {
            self.0.tell(&[format!("fail {number} ").as_bytes(), why]);
        }
        self.ended(number, FAILED, [0, 0], lasted);
    }

    /// A connection is given up because of what the system said.
    pub(super) fn dropped(&self, doing: &[u8], error: &io::Error) {
        let why = reason(error).as_bytes();
        self.0.warn(&[
            b"warning: dropping connection, unable to ",
            doing,
            b": ",
            why,
        ]);
    }

    /// `end NUMBER status STATUS in BYTES out BYTES ms N`: bytes from the client and to it. The status is that of a process with
    /// the exit code `code`: 0 when both sides have ended and got all there was.
    pub(super) fn ended(&self, number: u32, code: u8, moved: [u64; 2], lasted: Duration) {
        if self.0.tells_everything() {
            let status = u32::from(code) << 8;
            let [from, to] = moved;
            let ms = lasted.as_millis();
            let line = format!("end {number} status {status} in {from} out {to} ms {ms}");
            self.0.tell(&[line.as_bytes()]);
        }
    }

    /// `session NUMBER to REMOTE in BYTES out BYTES ms N`: one that is going on; said because somebody asked.
    pub(super) fn session(&self, number: u32, target: &Target, moved: [u64; 2], age: Duration) {
        let [from, to] = moved;
        let ms = age.as_millis();
        let line = format!(
            "session {number} to {} in {from} out {to} ms {ms}",
            target.name
        );
        self.0.warn(&[line.as_bytes()]);
    }

    /// Something that somebody asked for, or should know.
    pub(super) fn say(&self, text: &[u8]) {
        self.0.warn(&[text]);
    }
}
