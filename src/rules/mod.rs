//! What does the administrator say about this peer? Rule text to keys and instructions, the file that holds them, the
//! order in which keys are tried, the verdict.
//!
//! [`Rules`] is the only way to a verdict for all programs; [`Reader`] and [`search`] are its parts, which the tests
//! compare with others.
//!
//! Source: the originals' tcprules(1) and tcprulescheck(1), and observed runs. Deciding is pure; only [`compile`] and
//! [`Rules`] touch files. This room knows no socket, no name server and no log.
#![forbid(unsafe_code)]

mod compile;
mod inspect;
mod keys;
mod line;
mod prefix;
mod spelling;
mod store;
mod verdict;
mod writer;

pub use compile::compile;
pub use keys::{Key, Lengths, Peer, search};
pub use line::{Fault, Remark, Rule, parse};
pub use spelling::address;
pub use store::Reader;
pub use verdict::{Instruction, Rules, Tried, Verdict, instructions};
