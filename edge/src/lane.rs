//! Which of the edge's threads is this?
//!
//! A fetch runs on the thread of the client that causes it, over connections to origins that live
//! there too: to hand an answer from thread to thread costs more than all else that a small one
//! takes.

use std::cell::Cell;
use std::num::NonZero;
use std::thread;

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Threads that serve clients.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Says that this is the thread `number` of those that serve clients, from 0 on.
pub(crate) fn enter(number: usize) {
    HERE.set(number + 1);
}

/// This thread's lane: its number from 1 on. All threads that serve no clients share lane 0.
pub(crate) fn here() -> usize {
    HERE.get()
}
