//! The CDN from end to end: the real program, real sockets, real clients.
//!
//! Each module tells one story. Every test has a part of the loopback network to itself (127.x.y.0/24), so all
//! of them may run at once; only the story of `kingcdn up` uses the demo's fixed addresses.

#![allow(clippy::expect_used)] // Helpers of tests are tests.

mod harness;

mod collapse;
mod config;
mod failover;
mod killed;
mod limits;
mod memory;
mod page;
mod playback;
mod resolver;
mod status;
mod story;
mod trouble;
mod upgrade;
mod wishes;
