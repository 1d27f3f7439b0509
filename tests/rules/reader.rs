//! A second reader of cdb files, over bytes in memory, written from the description of the format alone. Also used by
//! the fuzz target `cdb`.

/// The structure does not hold: something leads out of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// The data of the first record with `key` that its hash table leads to.
pub(crate) fn find<'file>(file: &'file [u8], key: &[u8]) -> Result<Option<&'file [u8]>, Damaged> {
    if file.len() < 2048 {
        return Err(Damaged);
    }
    let hash = hash(key);
    let entry = u64::from(hash % 256) * 8;
    let (table, slots) = (number(file, entry)?, number(file, entry + 4)?);
    if slots == 0 {
        return Ok(None);
    }
    if table + slots * 8 > file.len() as u64 {
        return Err(Damaged);
    }
    for step in 0..slots {
        let slot = table + (u64::from(hash >> 8) + step) % slots * 8;
        let (slot_hash, record) = (number(file, slot)?, number(file, slot + 4)?);
        if record == 0 {
            return Ok(None);
        }
        if slot_hash != u64::from(hash) {
            continue;
        }
        let (key_bytes, data_bytes) = (number(file, record)?, number(file, record + 4)?);
        if key_bytes != key.len() as u64 {
            continue;
        }
        let data = record + 8 + key_bytes;
        let body = part(file, record + 8, key_bytes + data_bytes)?;
        if body.starts_with(key) {
            return part(file, data, data_bytes).map(Some);
        }
    }
    Ok(None)
}

fn number(file: &[u8], at: u64) -> Result<u64, Damaged> {
    let bytes = part(file, at, 4)?;
    Ok(bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn part(file: &[u8], at: u64, bytes: u64) -> Result<&[u8], Damaged> {
    let range = usize::try_from(at).and_then(|from| usize::try_from(at + bytes).map(|to| from..to));
    range.ok().and_then(|range| file.get(range)).ok_or(Damaged)
}

/// The keys of all records, if they follow each other from the header to the first hash table without a gap, and if the
/// tables lead to each of them and to nothing else. A header of zeros is no header.
#[allow(dead_code, reason = "the fuzz target has no use for it")]
pub(crate) fn keys(file: &[u8]) -> Result<Vec<&[u8]>, Damaged> {
    let mut tables = Vec::new();
    for entry in 0..256 {
        tables.push((number(file, entry * 8)?, number(file, entry * 8 + 4)?));
    }
    if tables.iter().all(|&table| table == (0, 0)) {
        return Err(Damaged);
    }
    let in_use = tables.iter().filter(|(_, slots)| *slots > 0);
    let end = in_use.map(|(table, _)| *table).min();
    let end = end.unwrap_or(file.len() as u64);
    let mut keys = Vec::new();
    let mut counts = [0_u64; 256];
    let mut at = 2048;
    while at < end {
        let (key_bytes, data_bytes) = (number(file, at)?, number(file, at + 4)?);
        part(file, at + 8, key_bytes + data_bytes)?;
        let key = part(file, at + 8, key_bytes)?;
        let data = part(file, at + 8 + key_bytes, data_bytes)?;
        // What tinycdb has taken out stays as zeros without a key.
        if !key.is_empty() || data.first() != Some(&0) {
            if !is_led_to(file, key, at)? {
                return Err(Damaged);
            }
            counts[hash(key) as usize % 256] += 1;
            keys.push(key);
        }
        at += 8 + key_bytes + data_bytes;
    }
    for (&(table, slots), count) in tables.iter().zip(counts) {
        let mut taken = 0;
        for slot in 0..slots {
            taken += u64::from(number(file, table + slot * 8 + 4)? != 0);
        }
        if taken != count {
            return Err(Damaged);
        }
    }
    if at == end && end <= file.len() as u64 {
        Ok(keys)
    } else {
        Err(Damaged)
    }
}

/// Whether a look-up of `key` comes past the record at `record`.
fn is_led_to(file: &[u8], key: &[u8], record: u64) -> Result<bool, Damaged> {
    let hash = hash(key);
    let entry = u64::from(hash % 256) * 8;
    let (table, slots) = (number(file, entry)?, number(file, entry + 4)?);
    for step in 0..slots {
        let slot = table + (u64::from(hash >> 8) + step) % slots * 8;
        let (slot_hash, found) = (number(file, slot)?, number(file, slot + 4)?);
        if found == 0 {
            return Ok(false);
        }
        if (slot_hash, found) == (u64::from(hash), record) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn hash(key: &[u8]) -> u32 {
    key.iter().fold(5381, |hash: u32, byte| {
        (hash << 5).wrapping_add(hash) ^ u32::from(*byte)
    })
}
