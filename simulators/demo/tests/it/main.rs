//! The tests of the whole road, through real sockets and with programs that we did not write.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::print_stdout)] // a test that cannot go on panics and says so

mod kill;
mod outage;
mod peers;
mod real_input;
mod rig;
mod truth;
