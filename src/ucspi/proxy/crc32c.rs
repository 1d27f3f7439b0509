//! CRC32c, the checksum of iSCSI. RFC 4960 appendix B (Castagnoli's polynomial, bits in reverse order).

/// The checksum of `bytes`.
pub(super) fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(u32::MAX, |sum, byte| {
        // Bit by bit: a header is short, and there is one a connection.
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            (sum >> 1) ^ if sum & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    })
}

const POLYNOMIAL: u32 = 0x82f6_3b78;

#[cfg(test)]
mod tests {
    use super::crc32c;

    /// RFC 3720 appendix B.4.
    #[test]
    fn known_texts_have_their_known_sums() {
        assert_eq!(crc32c([0; 32].into_iter()), 0x8a91_36aa);
        assert_eq!(crc32c([0xff; 32].into_iter()), 0x62a8_ab43);
        assert_eq!(crc32c(0..32), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
    }
}
