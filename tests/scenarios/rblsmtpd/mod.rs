//! rblsmtpd: an SMTP server is run, or a listed client hears why not.

mod dialogue;
mod lists;
mod options;

use crate::support::book::Book;
use crate::support::launch::Launch;
use crate::support::scene::Scene;

pub(crate) fn fill(book: &mut Book) {
    dialogue::fill(book);
    options::fill(book);
    lists::fill(book);
}

/// `rblsmtpd options smtpd` for the client 1.2.3.4, where the server is one that says so.
fn smtpd(s: &Scene, options: &[&str]) -> Launch {
    let script = "echo served \"${RBLSMTPD-unset}\"; cat";
    let args = [options, &["sh", "-c", script]].concat();
    s.program(args).env("TCPREMOTEIP", "1.2.3.4")
}
