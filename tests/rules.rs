//! Rules, from the line to the verdict: the bytes of compiled files, and what a look-up finds in them.
//!
//! Two things are written here a second time, from the description of the formats and not from our code: an encoder
//! (`rules::written`, `support::cdb`) and a look-up (`rules::model`, `rules::reader`). Generated rules and addresses go
//! through both; every generator has a fixed seed. Where `UCSPI_ORACLE_DIR` says that the originals are, they are asked
//! too. The harness of all tests is tested here, too.

#[path = "support/harness.rs"]
mod harness;
#[path = "rules/mod.rs"]
mod rules;
mod support;
