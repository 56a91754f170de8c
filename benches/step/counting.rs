//! The program's allocator, counting what it is asked for.

use std::{
    alloc::{GlobalAlloc, Layout},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// From here on an allocation is a large one.
const LARGE: usize = 64 << 10;

pub struct Counting;

static ALL: AtomicUsize = AtomicUsize::new(0);
static LARGE_ONES: AtomicUsize = AtomicUsize::new(0);

/// Allocations so far, and those of 64 KiB and more.
pub fn allocations() -> [usize; 2] {
    [ALL.load(Relaxed), LARGE_ONES.load(Relaxed)]
}

fn count(size: usize) {
    ALL.fetch_add(1, Relaxed);
    if size >= LARGE {
        LARGE_ONES.fetch_add(1, Relaxed);
    }
}

// SAFETY: everything is passed on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: passed on from the caller.
        unsafe { mimalloc::MiMalloc.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: passed on from the caller.
        unsafe { mimalloc::MiMalloc.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: passed on from the caller.
        unsafe { mimalloc::MiMalloc.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: passed on from the caller.
        unsafe { mimalloc::MiMalloc.dealloc(at, layout) }
    }
}
