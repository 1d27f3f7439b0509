//! PROXY headers: wherever the bytes are cut, the same is found, and what is found is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::ucspi::proxy::{V2_MAX, Version, read};

fuzz_target!(|input: &[u8]| {
    let all = read(input);
    let ends = input.len().min(V2_MAX + 1);
    for cut in (0..ends).step_by(1 + ends / 64) {
        let known = read(&input[..cut]);
        assert!(known == Ok(None) || known == all);
    }
    let Ok(Some((header, length))) = all else {
        return;
    };
    assert!(length <= input.len() && length <= V2_MAX);
    assert_eq!(read(&input[..length]), Ok(Some((header.clone(), length))));
    assert_eq!(read(&input[..length - 1]), Ok(None));
    for version in [Version::V1, Version::V2] {
        let bytes = header.write(version);
        let (again, length) = read(&bytes).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        assert_eq!(again.write(version), bytes);
    }
});
