//! The heap below the reserve: the C library's.
//!
//! Where that is musl, it is Doug Lea's: musl's gives memory back to the kernel as soon as it can, and asks for it again,
//! twice for each connection.

#[cfg(not(target_env = "musl"))]
use self::library as heap;
#[cfg(target_env = "musl")]
use self::own as heap;

pub(super) use heap::Base;
pub use heap::be_frugal;

#[cfg(not(target_env = "musl"))]
mod library {
    pub(crate) use std::alloc::System as Base;

    /// Makes the heap take no more at a time than it needs: GNU's takes 128 KiB, or nothing where there is less than that.
    /// mallopt(3), M_TOP_PAD.
    pub fn be_frugal() {
        #[cfg(target_env = "gnu")]
        // SAFETY: takes no pointer, and this process has one thread: nobody allocates meanwhile.
        unsafe {
            libc::mallopt(libc::M_TOP_PAD, 0)
        };
    }
}

#[cfg(target_env = "musl")]
mod own {
    use std::alloc::{GlobalAlloc, Layout};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use dlmalloc::Dlmalloc;

    /// Doug Lea's allocator, one for all threads.
    pub(crate) struct Base;

    static ALL: Mutex<Dlmalloc> = Mutex::new(Dlmalloc::new());

    /// The heap, for one thread at a time; what a thread that panicked left is whole, as nothing in there panics.
    fn heap() -> MutexGuard<'static, Dlmalloc> {
        ALL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the heap take no more at a time than it needs: pages, in place of 64 KiB.
    pub fn be_frugal() {
        heap().set_granularity(4096);
    }

    // SAFETY: Dlmalloc gives memory that fits the layout and is nobody else's, or null, and does not unwind; the lock lets one
    // thread in at a time and does not allocate.
    unsafe impl GlobalAlloc for Base {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: Dlmalloc asks for what the caller promised: a layout that is not empty.
            unsafe { heap().malloc(layout.size(), layout.align()) }
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            // SAFETY: as in `alloc`.
            unsafe { heap().calloc(layout.size(), layout.align()) }
        }

        unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
            // SAFETY: the caller's promise: `memory` came from here, with this layout.
            unsafe { heap().realloc(memory, layout.size(), layout.align(), bytes) }
        }

        unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
            // SAFETY: as in `realloc`.
            unsafe { heap().free(memory, layout.size(), layout.align()) };
        }
    }
}
