//! The lines that a server logs about a connection. Their texts are an interface: log analysers depend on them.
//!
//! Source: observed runs of the original. Names and ident replies are foreign bytes, so every field is cleaned and cut
//! here, by one function: no peer can write a line of its own or split a field.

use super::facts::Facts;
use crate::sys::spawn::PidLine;

/// `tcpserver: pid PID from IP`
pub(super) fn from(remote_ip: &str) -> PidLine {
    PidLine::new(
        b"tcpserver: pid ",
        format!(" from {remote_ip}\n").as_bytes(),
    )
}

/// `tcpserver: ok PID LOCALHOST:LOCALIP:LOCALPORT REMOTEHOST:REMOTEIP:REMOTEINFO:REMOTEPORT`, or `deny`.
pub(super) fn decided(denied: bool, facts: &Facts) -> PidLine {
    let (local, remote) = (&facts.local, &facts.remote);
    let mut after = Vec::with_capacity(256);
    let mut part = |text: &[u8]| after.extend_from_slice(text);
    part(b" ");
    part(&field(local.host.as_deref()));
    part(format!(":{}:{} ", local.ip, local.port).as_bytes());
    part(&field(remote.host.as_deref()));
    part(format!(":{}:", remote.ip).as_bytes());
    part(&field(facts.info.as_deref()));
    part(format!(":{}\n", remote.port).as_bytes());
    let before: &[u8] = if denied {
        b"tcpserver: deny "
    } else {
        b"tcpserver: ok "
    };
    PidLine::new(before, &after)
}

/// `tcpserver: end PID status STATUS`: the raw wait status.
pub(super) fn ended(status: i32) -> PidLine {
    PidLine::new(b"tcpserver: end ", format!(" status {status}\n").as_bytes())
}

/// The longest field that is logged whole is one byte shorter.
const FIELD_BYTES: usize = 100;

/// `text` with every byte that is not printable, or that separates fields, as a question mark, and cut.
fn field(text: Option<&[u8]>) -> Vec<u8> {
    let text = text.unwrap_or_default();
    let clean = |&byte: &u8| {
        let is_plain = byte.is_ascii_graphic() && byte != b'%' && byte != b':';
        if is_plain { byte } else { b'?' }
    };
    let mut field: Vec<u8> = text.iter().take(FIELD_BYTES).map(clean).collect();
    if text.len() >= FIELD_BYTES {
        field.extend_from_slice(b"...");
    }
    field
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn field_holds_printable_bytes_only() {
        let cleaned = field(Some(b"a b\tc\nd%e:f\x7f\x80\xff~!"));
        assert_eq!(cleaned, b"a?b?c?d?e?f???~!");
    }

    #[test]
    fn field_of_a_hundred_bytes_or_more_is_cut_and_marked() {
        let cleaned = |length| field(Some(&vec![b'x'; length]));
        assert_eq!(cleaned(99), [b'x'; 99]);
        assert_eq!(cleaned(100), [&[b'x'; 100][..], b"..."].concat());
        assert_eq!(cleaned(500), [&[b'x'; 100][..], b"..."].concat());
    }

    #[test]
    fn what_is_not_known_is_empty() {
        assert_eq!(field(None), b"");
    }
}
