//! `/etc/hosts`, for operands: `localhost` must work where no name server does. Source: hosts(5).

use std::net::IpAddr;

/// The addresses of `name` in the text of a hosts file.
pub(super) fn addresses(hosts: &[u8], name: &[u8]) -> Vec<IpAddr> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let mut found = Vec::new();
    for line in hosts.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let address = words
            .next()
            .and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
        if let Some(address) = address
            && words.any(|alias| alias.eq_ignore_ascii_case(name))
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn name_and_aliases_are_found_whatever_their_case() {
        let hosts = b"# comment\n127.0.0.1 localhost\n::1\tlocalhost ip6-localhost # x\n10.0.0.1 a.test A\n127.0.0.1 a\nbroken a\n";
        let text = |name: &[u8]| {
            addresses(hosts, name)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(text(b"LocalHost."), "127.0.0.1 ::1");
        assert_eq!(text(b"a"), "10.0.0.1 127.0.0.1");
        assert_eq!(text(b"x"), "");
        assert_eq!(text(b"127.0.0.1"), "");
    }
}
