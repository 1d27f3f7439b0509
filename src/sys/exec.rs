//! Becoming another program: where the name is looked for, and which failure is reported.
//!
//! Source: the original's manual pages and observed runs (no fallback to a shell for a script without `#!`).

use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char, c_int};
use std::io;

/// Where a program name without a slash is looked for when `$PATH` is not set.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// A program and its arguments, ready to be run any number of times.
#[derive(Debug)]
pub struct Program {
    /// The files to try, in order.
    candidates: Vec<CString>,
    arguments: Vec<CString>,
}

impl Program {
    /// The program `name` with `arguments` (argv\[0\] first), looked for in `path` (`$PATH`) unless it has a slash.
    ///
    /// An empty element of `path` is the working directory. Bytes from a NUL on are left out: neither argv nor the
    /// environment can hold one.
    pub fn new(name: &[u8], arguments: &[Vec<u8>], path: Option<&[u8]>) -> Self {
        let candidates = if name.contains(&b'/') {
            vec![c_string(name)]
        } else {
            let path = path.unwrap_or(DEFAULT_PATH);
            let folders = path.split(|&byte| byte == b':');
            let folders = folders.map(|folder| if folder.is_empty() { b"." } else { folder });
            folders
                .map(|folder| c_string(&[folder, b"/", name].concat()))
                .collect()
        };
        Self {
            candidates,
            arguments: arguments
                .iter()
                .map(|argument| c_string(argument))
                .collect(),
        }
    }

    /// Turns this process into the program; returns only with the reason why not.
    pub fn exec<'a>(
        &self,
        environment: impl IntoIterator<Item = &'a CStr>,
    ) -> Result<Infallible, io::Error> {
        let environment = pointers(environment);
        let arguments = self.arguments();
        // SAFETY: both arrays end with a null pointer (`pointers`) and point to strings that live in `self` and in the
        // caller's iterator's `'a`.
        let errno = unsafe { self.execute(&arguments, &environment) };
        Err(io::Error::from_raw_os_error(errno))
    }

    /// The argument array as execve(2) wants it, borrowed from `self`.
    pub(super) fn arguments(&self) -> Vec<*const c_char> {
        pointers(self.arguments.iter().map(CString::as_c_str))
    }

    /// Tries each candidate and returns the errno to report: a file that exists but may not be run wins over one that
    /// is not there. Allocates nothing, so it may run between clone and exec.
    ///
    /// # Safety
    /// Both arrays must end with a null pointer and hold valid C strings before it.
    pub(super) unsafe fn execute(
        &self,
        arguments: &[*const c_char],
        environment: &[*const c_char],
    ) -> c_int {
        let mut refused = None;
        let mut last = libc::ENOENT;
        for file in &self.candidates {
            // SAFETY: `file` is a C string; the two arrays are what the caller promised.
            unsafe { libc::execve(file.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
            last = io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or(libc::ENOENT);
            match last {
                libc::ENOENT => {}
                libc::EACCES | libc::EPERM | libc::EISDIR => refused = Some(last),
                _ => return last,
            }
        }
        refused.unwrap_or(last)
    }
}

/// The addresses of `strings`, ended by a null pointer.
pub(super) fn pointers<'a>(strings: impl IntoIterator<Item = &'a CStr>) -> Vec<*const c_char> {
    let strings = strings.into_iter();
    let mut pointers = Vec::with_capacity(strings.size_hint().0 + 1);
    pointers.extend(strings.map(CStr::as_ptr));
    pointers.push(std::ptr::null());
    pointers
}

/// `bytes` up to the first NUL, as a C string.
pub fn c_string(bytes: &[u8]) -> CString {
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    CString::new(&bytes[..end]).unwrap_or_default()
}
