//! The allocator of every program: the heap's, with a reserve that a long-lived process may lay by.
//!
//! Rust ends a process whose memory is refused, wherever that happens. A process that must not end lays memory by
//! ([`lay_by`]). When an allocation fails, the reserve is given back and the allocation tried again, so that it succeeds;
//! then the process learns of it ([`is_short`]), makes do with less, and the reserve is laid by again.
//!
//! What this leaves out: an allocation larger than the reserve. It fails as ever, so what may be large has to be asked
//! for by `try_reserve`.

use std::alloc::{GlobalAlloc, Layout};
use std::mem::size_of;
use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicUsize};

use super::heap::Base;
pub use super::heap::be_frugal;

#[global_allocator]
static ALLOCATOR: WithReserve = WithReserve;

/// The allocator below it, and its reserve.
struct WithReserve;

/// What is laid by, or null.
static RESERVE: AtomicPtr<Piece> = AtomicPtr::new(ptr::null_mut());
/// How much that is, or was before it was needed, in bytes; 0 when nothing was ever laid by.
static RESERVE_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Lays `bytes` by, unless they still are; false when there is not so much. Each process has one size.
pub fn lay_by(bytes: usize) -> bool {
    if !RESERVE.load(Acquire).is_null() {
        return true;
    }
    // In one piece, as each lies in a page that counts as used; in more where memory is scarce.
    let Some(pieces) = take(bytes, 1).or_else(|| take(bytes, RESERVE_PIECES)) else {
        return false;
    };
    RESERVE_BYTES.store(bytes, Relaxed);
    if RESERVE
        .compare_exchange(ptr::null_mut(), pieces, Release, Relaxed)
        .is_err()
    {
        give_back(pieces);
    }
    true
}

/// True when the reserve was needed and cannot be had again.
pub fn is_short() -> bool {
    let bytes = RESERVE_BYTES.load(Relaxed);
    bytes > 0 && !lay_by(bytes)
}

/// True when `bytes` could be had now, beside the reserve; in a few pieces, as memory that was in use is in pieces.
pub fn has_room(bytes: usize) -> bool {
    take(bytes, ROOM_PIECES).map(give_back).is_some()
}

/// Of how many pieces a reserve is, where it is not whole.
const RESERVE_PIECES: usize = 4;
/// The same of what is only tried.
const ROOM_PIECES: usize = 16;
/// What is used is in smaller pieces, but for tables and messages.
const PIECE_BYTES_MIN: usize = 2048;

/// The beginning of a piece of memory that nobody uses.
struct Piece {
    next: *mut Self,
    layout: Layout,
}

/// So many bytes in as many pieces, or fewer, which are linked; none when not all can be had. No reserve helps to them.
fn take(bytes: usize, pieces: usize) -> Option<*mut Piece> {
    let size = bytes
        .div_ceil(pieces)
        .max(PIECE_BYTES_MIN.max(size_of::<Piece>()));
    let layout = Layout::from_size_align(size, align_of::<Piece>()).ok()?;
    let mut taken = ptr::null_mut();
    for _ in 0..bytes.div_ceil(size).max(1) {
        // SAFETY: the layout is not empty.
        let piece = unsafe { Base.alloc(layout) }.cast::<Piece>();
        if piece.is_null() {
            give_back(taken);
            return None;
        }
        let next = taken;
        // SAFETY: the piece is new, and at least as large as a `Piece`, and aligned for one.
        unsafe { piece.write(Piece { next, layout }) };
        taken = piece;
    }
    // Nobody looks inside, and memory that nobody looks into need not be had.
    Some(std::hint::black_box(taken))
}

/// Gives back what `take` gave, or nothing for null.
fn give_back(mut pieces: *mut Piece) {
    while !pieces.is_null() {
        // SAFETY: `take` wrote a `Piece` there, and nobody else has it any more.
        let Piece { next, layout } = unsafe { pieces.read() };
        // SAFETY: it comes from this allocator, with this layout; the loop goes on with what was read before.
        unsafe { Base.dealloc(pieces.cast(), layout) };
        pieces = next;
    }
}

/// Gives the reserve back, and calls `allocate` again if there was one that may help with `bytes`.
#[cold]
fn try_again(bytes: usize, allocate: impl Fn() -> *mut u8) -> *mut u8 {
    if bytes > RESERVE_BYTES.load(Relaxed) {
        return ptr::null_mut();
    }
    let reserve = RESERVE.swap(ptr::null_mut(), AcqRel);
    if reserve.is_null() {
        return ptr::null_mut();
    }
    give_back(reserve);
    allocate()
}

// SAFETY: each function keeps the contract because the allocator below does, which alone gives and takes memory, for
// the same layouts. Giving the reserve back touches no other memory, and nothing here allocates or panics.
unsafe impl GlobalAlloc for WithReserve {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is the one that is asked for.
        let allocate = || unsafe { Base.alloc(layout) };
        let memory = allocate();
        if memory.is_null() {
            return try_again(layout.size(), allocate);
        }
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let allocate = || unsafe { Base.alloc_zeroed(layout) };
        let memory = allocate();
        if memory.is_null() {
            return try_again(layout.size(), allocate);
        }
        memory
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: as in `alloc`. When it fails, `memory` is as it was, so it may be asked again.
        let reallocate = || unsafe { Base.realloc(memory, layout, bytes) };
        let moved = reallocate();
        if moved.is_null() {
            return try_again(bytes, reallocate);
        }
        moved
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { Base.dealloc(memory, layout) };
    }
}
