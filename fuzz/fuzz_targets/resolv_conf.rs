//! resolv.conf and `$DNSCACHEIP`: addresses that can be asked, and a search list that is part of the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::dns::foreign::{cache_list, name_servers, search_list};

fuzz_target!(|text: &[u8]| {
    for server in name_servers(text).into_iter().chain(cache_list(text)) {
        assert!(!server.is_unspecified());
    }
    if let Some(list) = search_list(text) {
        assert!(list.starts_with(b" ") || list.starts_with(b"\t"));
        assert!(!list.contains(&b'\n'));
    }
});
