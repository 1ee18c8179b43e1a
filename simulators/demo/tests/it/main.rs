//! The tests of the whole road, through real sockets and with programs that we did not write.

#![allow(clippy::pedantic)] // tests read better than they lint

mod kill;
mod outage;
mod peers;
mod real_input;
mod rig;
mod truth;
