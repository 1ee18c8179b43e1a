//! The tests of the whole road, through real sockets and with programs that we did not write.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::print_stdout)] // a test that cannot go on panics and says so

mod kill;
mod mirror;
mod oracle;
mod outage;
mod peers;
mod projects;
mod real_input;
mod reconnect;
mod region;
mod rig;
mod town;
mod truth;
mod victoria;
