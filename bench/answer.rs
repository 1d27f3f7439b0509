//! The least program that can be served: it answers and ends. Built by the benchmark as a static binary without the
//! standard library's start-up, so that what is measured is the server.
#![no_main]

use std::ffi::{c_char, c_int, c_void};

unsafe extern "C" {
    fn write(fd: c_int, bytes: *const c_void, length: usize) -> isize;
    fn _exit(status: c_int) -> !;
}

#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    // SAFETY: pointer and length are of the same literal.
    unsafe { write(1, c"ok\n".as_ptr().cast(), 3) };
    // SAFETY: does not return.
    unsafe { _exit(0) }
}
