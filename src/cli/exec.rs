//! Becoming the program that the command line names.

use std::ffi::CString;

use super::{During, Error};
use crate::sys::exec::Program;
use crate::sys::process;

/// Turns this process into the program `name` with `arguments` (argv\[0\] first) and `environment`, looked for in
/// `$PATH` as it was at the start. Returns only when that fails.
///
/// # Errors
/// `unable to run name: reason`, 111.
pub fn exec(name: &[u8], arguments: &[Vec<u8>], environment: &[CString]) -> Result<(), Error> {
    let program = Program::new(name, arguments, process::variable("PATH").as_deref());
    let environment = environment.iter().map(CString::as_c_str);
    match program.exec(environment).during([b"run ", name].concat())? {}
}
