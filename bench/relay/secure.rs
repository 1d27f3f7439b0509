//! Certificates for the relays, made by openssl(1).

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::load::{Tls, Way};
use crate::peers::Front;

const SCRIPT: &str = r#"
set -e
test ! -e $1.pem || exit 0
case $1 in
ec) openssl ecparam -name prime256v1 -genkey -noout -out $1.key;;
rsa) openssl genrsa -traditional -out $1.key 2048;;
esac
openssl req -x509 -key $1.key -out $1.crt -days 30 -subj /CN=relay.example \
  -addext subjectAltName=DNS:relay.example -addext basicConstraints=critical,CA:FALSE
cat $1.crt $1.key >$1.pem
"#;

/// Has `measure` measure with TLS, with a certificate of this kind and with clients that come for the first time or again.
pub(crate) fn with<T>(kind: &str, resumes: bool, measure: impl FnOnce(Front<'_>) -> T) -> T {
    let scratch = std::env::var_os("BENCH_SCRATCH").expect("BENCH_SCRATCH is set");
    let folder = PathBuf::from(scratch);
    let made = Command::new("sh")
        .args(["-c", SCRIPT, "sh", kind])
        .current_dir(&folder)
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("there is a shell").success(), "openssl works");
    let text = fs::read(folder.join(format!("{kind}.crt"))).expect("it was made");
    let trusted = pem::parse(text).expect("PEM").into_contents().into();
    let way = Way::Tls(Tls { trusted, resumes });
    measure(Front {
        way: &way,
        certificate: Some(&folder.join(format!("{kind}.pem"))),
    })
}
