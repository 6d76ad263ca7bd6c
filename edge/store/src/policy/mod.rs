//! What stays on a disk: pure decisions, without I/O and without a clock.
