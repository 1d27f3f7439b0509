//! All programs in one file, for `package/install --one`: each under the name by which the file is executed.
#![forbid(unsafe_code)]
#![no_main]

use ucspi_tcp::cli;

macro_rules! programs {
    ($($name:literal $module:ident $path:literal;)*) => {
        $(
            #[path = $path]
            mod $module;
        )*

        const PROGRAMS: &[(&str, cli::Main)] = &[$(($name, $module::main)),*];
    };
}

programs! {
    "addcr" addcr "../src/bin/addcr.rs";
    "argv0" argv0 "../src/bin/argv0.rs";
    "date@" date_at "../src/bin/date_at.rs";
    "delcr" delcr "../src/bin/delcr.rs";
    "finger@" finger_at "../src/bin/finger_at.rs";
    "fixcrio" fixcrio "../src/bin/fixcrio.rs";
    "http@" http_at "../src/bin/http_at.rs";
    "https@" https_at "../src/bin/https_at.rs";
    "inetd2tcp" inetd2tcp "../src/bin/inetd2tcp.rs";
    "iotcpd" iotcpd "../src/bin/iotcpd.rs";
    "mconnect" mconnect "../src/bin/mconnect.rs";
    "mconnect-io" mconnect_io "../src/bin/mconnect_io.rs";
    "rblsmtpd" rblsmtpd "../src/bin/rblsmtpd.rs";
    "recordio" recordio "../src/bin/recordio.rs";
    "spawnd" spawnd "../src/bin/spawnd.rs";
    "tcpcat" tcpcat "../src/bin/tcpcat.rs";
    "tcpclient" tcpclient "../src/bin/tcpclient.rs";
    "tcpctl" tcpctl "../src/bin/tcpctl.rs";
    "tcpio" tcpio "../src/bin/tcpio.rs";
    "tcppool" tcppool "../src/bin/tcppool.rs";
    "tcprelay" tcprelay "../src/bin/tcprelay.rs";
    "tcprelay-conf" tcprelay_conf "../src/bin/tcprelay_conf.rs";
    "tcprules" tcprules "../src/bin/tcprules.rs";
    "tcprulescheck" tcprulescheck "../src/bin/tcprulescheck.rs";
    "tcpserver" tcpserver "../src/bin/tcpserver.rs";
    "time@" time_at "../src/bin/time_at.rs";
    "tlsc" tlsc "../src/bin/tlsc.rs";
    "tlsclient" tlsclient "../src/bin/tlsclient.rs";
    "tlsd" tlsd "../src/bin/tlsd.rs";
    "tlsserver" tlsserver "../src/bin/tlsserver.rs";
    "who@" who_at "../src/bin/who_at.rs";
}

ucspi_tcp::entry!(main);

fn main() -> u8 {
    cli::one_of(PROGRAMS)
}
