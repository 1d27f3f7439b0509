//! How a program starts: by the C library's call of `main`, which [`crate::program`] makes, and not by that of Rust's
//! library.
//!
//! That one would ignore SIGPIPE, open `/dev/null` on each of the descriptors 0, 1 and 2 that is closed, and abort where
//! there is none, in an empty root say: a program that is a link in a chain must hand on what it got, and a filter must fail,
//! not lose bytes in silence, when its output is closed. And it would prepare a message for a stack that is full, with a
//! stack of its own. All that is 16 system calls, a tenth of what a short program costs.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use super::fd;

/// `main`'s second argument, or null in a process that did not begin here.
static ARGUMENTS: AtomicPtr<*const c_char> = AtomicPtr::new(ptr::null_mut());

/// Makes a function of type [`crate::cli::Main`] the `main` of a program, whose crate is `no_main`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        // SAFETY: an executable has one `main`, and this is its type: C17, 5.1.2.2.1.
        #[unsafe(export_name = "main")]
        extern "C" fn started(
            _: ::std::ffi::c_int,
            arguments: *const *const ::std::ffi::c_char,
        ) -> ::std::ffi::c_int {
            // SAFETY: nothing has run before, and these are the arguments of `main`.
            unsafe { $crate::sys::startup::begin(arguments) };
            $main().into()
        }
    };
}

/// The same for one of the programs, unless all of them are in one file, or are tested: these have a `main` of their own.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        #[cfg(not(any(test, feature = "one")))]
        $crate::entry!($main);
    };
}

/// Keeps the arguments of `main`, and sees to it that descriptors 0, 1 and 2 are taken: one that was closed is held by one
/// that can neither be read nor written (EBADF, as if closed) and vanishes at exec, so that no file opened later can land
/// there by accident.
///
/// # Safety
/// `arguments` is what the C library gave `main`: an array of strings that ends with a null pointer and stays.
pub unsafe fn begin(arguments: *const *const c_char) {
    ARGUMENTS.store(arguments.cast_mut(), Relaxed);
    for number in 0..=2 {
        // SAFETY: F_GETFD takes no pointer; a closed descriptor gives -1.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
            fd::occupy(number);
        }
    }
}

/// The arguments of `main`, the name first.
pub(super) fn arguments() -> impl Iterator<Item = &'static CStr> {
    let mut next = ARGUMENTS.load(Relaxed).cast_const();
    std::iter::from_fn(move || {
        if next.is_null() {
            return None;
        }
        // SAFETY: `begin` got an array that stays, and nothing here goes beyond the null pointer that ends it.
        let argument = unsafe { *next };
        if argument.is_null() {
            return None;
        }
        // SAFETY: this was not the end, so there is one more.
        next = unsafe { next.add(1) };
        // SAFETY: `begin` got an array of strings that stay, and nobody writes to them.
        Some(unsafe { CStr::from_ptr(argument) })
    })
}
