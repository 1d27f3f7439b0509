//! The ucspi-tcp suite: TCP clients and servers from any program that reads stdin and writes stdout.
//!
//! The map, one line per room; imports run from the top down and never up (`tests/documents/layout.rs`):
//!
//! * [`relay`]: connections carried to one of several remotes: tcprelay
//! * [`clients`]: programs that ask a server and show its answer: who@, http@, time@, mconnect
//! * [`control`]: asking a server of ours how it is: tcpctl
//! * [`filter`]: programs that watch or change bytes: recordio, fixcrio, addcr, delcr
//! * [`import`]: the way over from other super-servers
//! * [`pool`]: workers that answer: tcppool, iotcpd
//! * [`smtp`]: mail that nobody wants: rblsmtpd
//! * [`tls`]: TLS for any program: tlsserver, tlsd, tlsclient, tlsc
//! * [`ucspi`]: the contract: listening, a connection's life, children, connecting, ident
//! * [`service`]: a listening process: accepting, slots, sources, what one can ask it, the end
//! * [`rules`]: what does the administrator say about this peer?
//! * [`dns`]: what is this name or address called?
//! * [`cli`]: options, messages, exit codes
//! * [`sys`]: system calls, the only room with `unsafe`

pub mod cli;
pub mod clients;
pub mod control;
pub mod dns;
pub mod filter;
pub mod import;
pub mod pool;
pub mod relay;
pub mod rules;
pub mod service;
pub mod smtp;
pub mod sys;
pub mod tls;
pub mod ucspi;
