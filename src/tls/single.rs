//! tlsd: TLS for one connection, under any server that has it on descriptors 0 and 1.

use std::rc::Rc;

use super::beside::{self, Beside};
use super::options::Terms;
use super::server::{NAME, PROTOCOL, Tls};
use crate::cli::{During, Error, FAILED, Voice};
use crate::sys::{fd, process, socket};
use crate::ucspi::environ::Changes;
use crate::ucspi::layer::{Layer, Tell};

/// Serves the connection, and ends as the program has.
///
/// # Errors
/// 100 for terms that say too little; 111: descriptor 0 is no connection, certificates are of no use, or the client is not
/// met (without a message, but for `tls PID failed REASON` under `-v`).
pub fn run(terms: &Terms, program: &[Vec<u8>], voice: Voice) -> Result<(), Error> {
    if !socket::is_stream(fd::STDIN) {
        return Err(Error::fatal("descriptor 0 is no connection"));
    }
    let tls = Tls::new(terms, voice)?;
    let number = process::id();
    let tell: Tell = Rc::new(move |words| {
        voice.tell(&[NAME.as_bytes(), format!(" {number} ").as_bytes(), words]);
    });
    beside::run(program, |beside: Beside| async move {
        let connection = fd::STDIN.try_clone_to_owned().during("get a descriptor")?;
        fd::occupy(0);
        fd::occupy(1);
        let (stream, met) = tls.meet(connection).await.map_err(|why| {
            tell(format!("failed {why}").as_bytes());
            Error::silent(FAILED)
        })?;
        let inherited = process::environment();
        let mut changes = Changes::inherited(&inherited);
        changes.call(PROTOCOL);
        met.settings.iter().for_each(|it| changes.setting(it));
        if !met.words.is_empty() {
            tell(&met.words);
        }
        let carry = (met.carry)(tell);
        let environment = changes.made(&inherited);
        beside
            .run(Some(stream), met.others, &environment, carry)
            .await
    })
}
