//! An allocator that notes how much was asked for.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ptr::null_mut,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Asking for more than this is a fault.
pub const MOST: usize = 1_000_000_000;

/// Single requests beyond this, and all beyond twice of it together, are refused, which ends the process unless the
/// reader can do without. Smaller ones need not end the other cases.
const REFUSED: usize = 2 << 30;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static REQUEST: AtomicUsize = AtomicUsize::new(0);

pub struct Meter;

fn asked(size: usize) -> bool {
    if size > MOST {
        REQUEST.fetch_max(size, Relaxed);
    }
    size <= REFUSED && LIVE.load(Relaxed).saturating_add(size) <= 2 * REFUSED
}

fn add(size: usize) {
    let live = LIVE.fetch_add(size, Relaxed).wrapping_add(size);
    if live > PEAK.load(Relaxed) {
        PEAK.fetch_max(live, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator with the layout it came with; null stands for a refusal.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !asked(layout.size()) {
            return null_mut();
        }
        add(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !asked(layout.size()) {
            return null_mut();
        }
        add(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !asked(size) {
            return null_mut();
        }
        add(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Forgets what was asked for so far; returns what is in use.
pub fn begin() -> usize {
    REQUEST.store(0, Relaxed);
    let live = LIVE.load(Relaxed);
    PEAK.store(live, Relaxed);
    live
}

/// The largest single request beyond [`MOST`] since [`begin`], or else what was in use at a time beyond `base`, when
/// that was too much.
pub fn too_much(base: usize) -> Option<usize> {
    let most = REQUEST.load(Relaxed).max(PEAK.load(Relaxed).saturating_sub(base));
    (most > MOST).then_some(most)
}

/// The largest request beyond [`MOST`], for a process that is about to end over it.
pub fn request() -> usize {
    REQUEST.load(Relaxed)
}
