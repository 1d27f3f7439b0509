//! What the programs do, as scenarios: the list of their names is the specification.

mod argv0;
mod carriage_return;
mod exec;
mod files;
mod finger_at;
mod fixcrio;
mod http_at;
mod mconnect;
mod mconnect_io;
mod passed_on;
mod rblsmtpd;
mod recordio;
mod tcpcat;
mod tcpclient;
mod tcprules;
mod tcprulescheck;
mod tcpserver;
mod time_at;
mod wrapper;

use crate::support::book::Book;
use crate::support::play::Family;

type Fill = fn(&mut Book);

/// All scenarios of all programs, which follow ucspi-tcp 0.88 without the IPv6 patch.
pub(crate) fn family() -> Family {
    let fill: [(&'static str, Fill); 18] = [
        ("addcr", carriage_return::fill),
        ("argv0", argv0::fill),
        ("date@", wrapper::fill_date),
        ("delcr", carriage_return::fill),
        ("finger@", finger_at::fill),
        ("fixcrio", fixcrio::fill),
        ("http@", http_at::fill),
        ("mconnect", mconnect::fill),
        ("mconnect-io", mconnect_io::fill),
        ("rblsmtpd", rblsmtpd::fill),
        ("recordio", recordio::fill),
        ("tcpcat", tcpcat::fill),
        ("tcpclient", tcpclient::fill),
        ("tcprules", tcprules::fill),
        ("tcprulescheck", tcprulescheck::fill),
        ("tcpserver", tcpserver::fill),
        ("time@", time_at::fill),
        ("who@", wrapper::fill_who),
    ];
    let scenarios = fill.into_iter().flat_map(|(program, fill)| {
        let mut book = Book::of(program);
        fill(&mut book);
        book.scenarios
    });
    Family {
        scenarios: scenarios.collect(),
        package: "ucspi-tcp",
        records: "tests/golden",
    }
}
