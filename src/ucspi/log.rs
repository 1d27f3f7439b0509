//! The lines that a server logs about a connection. Their texts are an interface: log analysers depend on them.
//!
//! Source: observed runs of the original. Names and ident replies are foreign bytes, so every field is cleaned and cut
//! here, by one function: no peer can write a line of its own or split a field.

use crate::sys::spawn::PidLine;

/// The facts of a connection, as they are logged and put into the environment.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) local_ip: &'a [u8],
    pub(super) local_port: &'a [u8],
    pub(super) local_host: Option<&'a [u8]>,
    pub(super) remote_ip: &'a [u8],
    pub(super) remote_port: &'a [u8],
    pub(super) remote_host: Option<&'a [u8]>,
    pub(super) remote_info: Option<&'a [u8]>,
}

/// `tcpserver: pid PID from IP`
pub(super) fn from(remote_ip: &[u8]) -> PidLine {
    PidLine::new(b"tcpserver: pid ", &[b" from ", remote_ip, b"\n"].concat())
}

/// `tcpserver: ok PID LOCALHOST:LOCALIP:LOCALPORT REMOTEHOST:REMOTEIP:REMOTEINFO:REMOTEPORT`, or `deny`.
pub(super) fn decided(denied: bool, facts: &Facts<'_>) -> PidLine {
    let mut after = Vec::with_capacity(256);
    after.push(b' ');
    field(&mut after, facts.local_host.unwrap_or_default());
    after.push(b':');
    field(&mut after, facts.local_ip);
    after.push(b':');
    field(&mut after, facts.local_port);
    after.push(b' ');
    field(&mut after, facts.remote_host.unwrap_or_default());
    after.push(b':');
    field(&mut after, facts.remote_ip);
    after.push(b':');
    field(&mut after, facts.remote_info.unwrap_or_default());
    after.push(b':');
    field(&mut after, facts.remote_port);
    after.push(b'\n');
    PidLine::new(
        if denied {
            b"tcpserver: deny "
        } else {
            b"tcpserver: ok "
        },
        &after,
    )
}

/// `tcpserver: end PID status STATUS`: the raw wait status.
pub(super) fn ended(status: i32) -> PidLine {
    PidLine::new(b"tcpserver: end ", format!(" status {status}\n").as_bytes())
}

/// The longest field that is logged whole is one byte shorter.
const FIELD_BYTES: usize = 100;

/// Appends `text` with every byte that is not printable, or that separates fields, as a question mark, and cut.
fn field(line: &mut Vec<u8>, text: &[u8]) {
    let clean = |&byte: &u8| {
        if byte.is_ascii_graphic() && byte != b'%' && byte != b':' {
            byte
        } else {
            b'?'
        }
    };
    line.extend(text.iter().take(FIELD_BYTES).map(clean));
    if text.len() >= FIELD_BYTES {
        line.extend_from_slice(b"...");
    }
}

#[cfg(test)]
mod tests {
    use super::field;

    fn cleaned(text: &[u8]) -> String {
        let mut line = Vec::new();
        field(&mut line, text);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn field_holds_printable_bytes_only() {
        assert_eq!(cleaned(b"a b\tc\nd%e:f\x7f\x80\xff~!"), "a?b?c?d?e?f???~!");
    }

    #[test]
    fn field_of_a_hundred_bytes_or_more_is_cut_and_marked() {
        assert_eq!(cleaned(&[b'x'; 99]), "x".repeat(99));
        assert_eq!(cleaned(&[b'x'; 100]), "x".repeat(100) + "...");
        assert_eq!(cleaned(&[b'x'; 500]), "x".repeat(100) + "...");
    }
}
