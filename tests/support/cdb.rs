//! Writes a cdb file from any records, also such as tcprules would never write.

/// The bytes of a cdb with these keys and data, in this order.
pub(crate) fn file(records: &[(&[u8], &[u8])]) -> Vec<u8> {
    file_with(records, |entries| 2 * entries)
}

/// The same with tables of as many slots as `slots` says for so many entries, which may not be fewer.
pub(crate) fn file_with(records: &[(&[u8], &[u8])], slots: impl Fn(usize) -> usize) -> Vec<u8> {
    let mut body = Vec::new();
    let mut tables: Vec<Vec<(u32, u32)>> = vec![Vec::new(); 256];
    for (key, data) in records {
        let position = HEADER_BYTES + number(body.len());
        let hash = key.iter().fold(5381_u32, |hash, byte| {
            (hash << 5).wrapping_add(hash) ^ u32::from(*byte)
        });
        tables[(hash & 255) as usize].push((hash, position));
        body.extend_from_slice(&pair(number(key.len()), number(data.len())));
        body.extend_from_slice(key);
        body.extend_from_slice(data);
    }
    let mut header = Vec::new();
    for table in &tables {
        let slots = slots(table.len());
        header.extend_from_slice(&pair(HEADER_BYTES + number(body.len()), number(slots)));
        let mut filled = vec![(0, 0); slots];
        for (hash, position) in table {
            let start = (hash >> 8) as usize % slots;
            let free = (start..slots)
                .chain(0..start)
                .find(|slot| filled[*slot].1 == 0);
            filled[free.expect("there is a slot for each")] = (*hash, *position);
        }
        for (hash, position) in filled {
            body.extend_from_slice(&pair(hash, position));
        }
    }
    header.extend_from_slice(&body);
    header
}

const HEADER_BYTES: u32 = 2048;

fn pair(first: u32, second: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_le_bytes());
    bytes[4..].copy_from_slice(&second.to_le_bytes());
    bytes
}

fn number(length: usize) -> u32 {
    u32::try_from(length).expect("test files are small")
}
