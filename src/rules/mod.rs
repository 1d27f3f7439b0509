//! What does the administrator say about this peer? Rule text to keys and instructions, the file that holds them, the
//! order in which keys are tried, the verdict.
//!
//! [`Rules`] is the only way to a verdict for all programs; [`Reader`] and [`search`] are its parts, which the tests
//! compare with others.
//!
//! Rules can also be asked about as a whole: [`check`], [`diff`] and [`replay`], which know whom a key means (`place`,
//! `survey`).
//!
//! Source: the originals' tcprules(1) and tcprulescheck(1), and observed runs. Deciding is pure; only [`compile`],
//! [`diff`], [`Sets`] and [`Rules`] touch files. This room knows no socket and no name server, and of a server's log
//! only how to read it back (`logged`).
#![forbid(unsafe_code)]

mod check;
mod compile;
mod diff;
mod finding;
mod hint;
mod inspect;
mod keys;
mod line;
mod logged;
mod place;
mod prefix;
mod replay;
mod set;
mod source;
mod spelling;
mod store;
mod survey;
mod text;
mod verdict;
mod writer;

pub use check::{Health, check};
pub use compile::compile;
pub use diff::diff;
pub use keys::{Key, Lengths, Peer, search};
pub use line::{Fault, Remark, Rule, parse};
pub use replay::{Replayed, replay};
pub use set::Sets;
pub use source::{Origin, origin};
pub use spelling::address;
pub use store::Reader;
pub use verdict::{Instruction, Rules, Tried, Verdict, instructions};
