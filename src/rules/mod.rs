//! What does the administrator say about this peer? Rule text to keys and instructions, the file that holds them, the
//! order in which keys are tried, the verdict.
//!
//! Source: the originals' tcprules(1) and tcprulescheck(1), and observed runs. Deciding is pure; only [`compile`] and
//! [`Rules`] touch files. This room knows no socket, no name server and no log.
#![forbid(unsafe_code)]

mod compile;
mod keys;
mod line;
mod prefix;
mod store;
mod verdict;

pub use compile::compile;
pub use keys::{Key, Lengths, Peer, search};
pub use line::{Fault, Rule, parse};
pub use store::{Reader, Writer};
pub use verdict::{Instruction, Rules, Verdict, instructions};
