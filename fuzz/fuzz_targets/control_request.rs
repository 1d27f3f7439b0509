//! A line at the control socket: a request, or the words for what would have been one; and what is read is what was meant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ucspi_tcp::service::control::{Form, Request};

fuzz_target!(|line: &[u8]| {
    let Some((form, words)) = Form::split(line) else {
        return;
    };
    assert!(line.starts_with(form.word().as_bytes()));
    match Request::parse(words) {
        Err(needed) => assert!(!needed.is_empty()),
        Ok(Request::Limit(limit)) => {
            assert!(limit > 0);
            let again = format!("limit {limit}");
            assert_eq!(Request::parse(again.as_bytes()), Ok(Request::Limit(limit)));
        }
        Ok(Request::Ban(prefix, time)) => {
            assert_eq!(prefix, prefix.trunc());
            let again = format!("ban {prefix} {}.{:09}", time.as_secs(), time.subsec_nanos());
            assert_eq!(Request::parse(again.as_bytes()), Ok(Request::Ban(prefix, time)));
        }
        Ok(Request::Unban(prefix)) => {
            let again = format!("unban {prefix}");
            assert_eq!(Request::parse(again.as_bytes()), Ok(Request::Unban(prefix)));
        }
        Ok(_) => assert!(words.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b' ')),
    }
});
