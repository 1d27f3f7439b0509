//! What a server and its key process say to each other: one question, then its answer, each message of a socket pair.
//!
//! | Question | Answer |
//! |---|---|
//! | [`LOAD`] | one message a pair ([`Pair`]), then [`DONE`]; or [`FAILED`] and a sentence |
//! | [`LOOK`]: load if files have changed | the same, or [`SAME`] |
//! | [`SIGN`], the key's number (4 bytes), the scheme (2 bytes), what to sign | [`DONE`], a name and its key, the signature |
//! | [`OPEN`], the name of a ticket | [`DONE`], a name and its key, the key of that ticket |
//!
//! A name and its key are for the next ticket (`tickets`): no handshake has more than one question, as each takes two
//! switches between processes.
//! [`FAILED`] is the answer of all when it cannot be done. Numbers are little-endian, and what may be of any length has its length before it, in 4 bytes.

/// Read all certificates and keys.
pub(super) const LOAD: u8 = b'L';
/// Read them if a file has changed since they were last read.
pub(super) const LOOK: u8 = b'?';
/// Sign.
pub(super) const SIGN: u8 = b'S';
/// Make the key of a ticket again.
pub(super) const OPEN: u8 = b'O';

/// It is done, and what follows came of it.
pub(super) const DONE: u8 = b'.';
/// A sentence follows that says what went wrong.
pub(super) const FAILED: u8 = b'!';
/// Nothing has changed.
pub(super) const SAME: u8 = b'=';
/// A pair follows.
const PAIR: u8 = b'P';

/// The longest message, in bytes: what a socket takes at once with the kernel's usual `net.core.wmem_default`.
pub(super) const MESSAGE_MAX: usize = 192 * 1024;

/// A certificate with its chain, and what is to be known of its key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// What to call the key in questions.
    pub(super) key: u32,
    /// The key's algorithm, by its number in TLS.
    pub(super) algorithm: u8,
    /// What it can sign with, best first. RFC 8446 section 4.2.3
    pub(super) schemes: Vec<u16>,
    /// The name that it is for, where the file says so; `default` is for all others.
    pub(super) name: Option<Vec<u8>>,
    /// What the administrator should know of it.
    pub(super) remark: Option<Vec<u8>>,
    /// The certificate, and those that lead to a root.
    pub(super) chain: Vec<Vec<u8>>,
}

impl Pair {
    /// As a message.
    pub(super) fn packed(&self) -> Vec<u8> {
        let mut message = vec![PAIR];
        message.extend_from_slice(&self.key.to_le_bytes());
        message.push(self.algorithm);
        let schemes: Vec<u8> = self.schemes.iter().flat_map(|s| s.to_le_bytes()).collect();
        put(&mut message, &schemes);
        for text in [&self.name, &self.remark] {
            message.push(u8::from(text.is_some()));
            put(&mut message, text.as_deref().unwrap_or_default());
        }
        for certificate in &self.chain {
            put(&mut message, certificate);
        }
        message
    }

    /// Out of a message; none when it is no pair.
    pub(super) fn unpacked(message: &[u8]) -> Option<Self> {
        let mut parts = Parts(message.strip_prefix(&[PAIR])?);
        let key = u32::from_le_bytes(parts.some()?);
        let [algorithm] = parts.some()?;
        let schemes = parts.text()?.chunks_exact(2);
        let schemes = schemes.map(|s| u16::from_le_bytes([s[0], s[1]])).collect();
        let mut text = || -> Option<Option<Vec<u8>>> {
            let [is_there] = parts.some()?;
            let text = parts.text()?.to_vec();
            Some((is_there == 1).then_some(text))
        };
        let (name, remark) = (text()?, text()?);
        let mut chain = Vec::new();
        while !parts.0.is_empty() {
            chain.push(parts.text()?.to_vec());
        }
        Some(Self {
            key,
            algorithm,
            schemes,
            name,
            remark,
            chain,
        })
    }
}

fn put(message: &mut Vec<u8>, text: &[u8]) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    message.extend_from_slice(&length.to_le_bytes());
    message.extend_from_slice(text);
}

/// What is left of a message.
pub(super) struct Parts<'a>(pub(super) &'a [u8]);

impl<'a> Parts<'a> {
    /// So many bytes.
    pub(super) fn some<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    /// As many bytes as the four before them say.
    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(u32::from_le_bytes(self.some()?)).ok()?;
        let text = self.0.get(..length)?;
        self.0 = &self.0[length..];
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::Pair;

    #[test]
    fn pair_comes_out_as_it_went_in_and_a_cut_one_not_at_all() {
        let pair = Pair {
            key: 70_000,
            algorithm: 3,
            schemes: vec![0x0403, 0x0804],
            name: Some(b"a.example".to_vec()),
            remark: None,
            chain: vec![vec![1; 300], vec![]],
        };
        let message = pair.packed();
        let cuts = (0..message.len()).filter_map(|end| Pair::unpacked(&message[..end]));
        // Only a shorter chain is a pair too.
        assert!(cuts.into_iter().all(|cut| cut.chain.len() < 2));
        assert_eq!(Pair::unpacked(&message), Some(pair));
    }
}
